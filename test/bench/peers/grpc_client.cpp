// SPDX-License-Identifier: BSL-1.0
// The gRPC client of the benchmark: asynchronous API, one thread, one completion queue, a channel
// with a connection of its own per --connections. No deadlines: gRPC may save what m3 may not.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include "echo.grpc.pb.h"
#include "support/client_run.h"

namespace bench {
namespace {

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "peer_grpc_client: %s\n", what.c_str());
  std::exit(1);
}

std::shared_ptr<grpc::Channel> open_channel(int port) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_MINIMAL_STACK, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1024 * 1024);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, 1024 * 1024);
  auto channel = grpc::CreateCustomChannel("ipv4:127.0.0.1:" + std::to_string(port),
                                           grpc::InsecureChannelCredentials(), arguments);
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(10)))
    die("no connection within 10 s");
  return channel;
}

/// One call in flight; started again when it is answered.
class CallSlot {
 public:
  CallSlot(Echo::Stub& stub, grpc::CompletionQueue& queue, const EchoReq& request)
      : stub_(stub), queue_(queue), request_(request) {}

  void start() {
    reader_.reset();
    context_.emplace();
    reader_ = stub_.AsyncEcho(&*context_, request_, &queue_);
    reader_->Finish(&response_, &status_, this);
  }

  void check() const {
    if (!status_.ok()) die("call failed: " + status_.error_message());
    if (response_.data().size() != request_.data().size()) die("wrong answer");
  }

 private:
  Echo::Stub& stub_;
  grpc::CompletionQueue& queue_;
  const EchoReq& request_;
  EchoRsp response_;
  grpc::Status status_;
  std::optional<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<EchoRsp>> reader_;
};

void run_client(const ClientOptions& options) {
  ClientRun run(options);
  EchoReq request;
  request.set_data(std::string(static_cast<std::size_t>(options.payload_bytes), 'x'));
  grpc::CompletionQueue queue;
  std::vector<std::unique_ptr<Echo::Stub>> stubs;
  std::vector<std::unique_ptr<CallSlot>> slots;
  for (int i = 0; i < options.connections; ++i) {
    stubs.push_back(Echo::NewStub(open_channel(options.port)));
    for (int k = 0; k < options.outstanding; ++k)
      slots.push_back(std::make_unique<CallSlot>(*stubs.back(), queue, request));
  }
  run.begin();
  for (auto& slot : slots) slot->start();
  std::size_t in_flight = slots.size();
  void* tag = nullptr;
  bool ok = false;
  while (in_flight != 0 && queue.Next(&tag, &ok)) {
    auto* slot = static_cast<CallSlot*>(tag);
    slot->check();
    if (run.finished_call())
      slot->start();
    else
      --in_flight;
  }
  run.print("grpc");
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_client(argc, argv);
  bench::allow_many_files();
  bench::run_client(options);
}
