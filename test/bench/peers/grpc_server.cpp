// SPDX-License-Identifier: BSL-1.0
// gRPC C++ at its best for this task: asynchronous API, one thread, one completion queue, enough
// calls requested in advance, messages reused.
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include "echo.grpc.pb.h"
#include "support/options.h"
#include "support/server_page.h"

namespace bench {
namespace {

constexpr int kCallsInAdvance = 2048;  // more than any workload keeps in flight

/// One place for a call; used again and again.
class CallSlot {
 public:
  CallSlot(Echo::AsyncService& service, grpc::ServerCompletionQueue& queue)
      : service_(service), queue_(queue) {
    request_next();
  }

  void proceed(bool ok) {
    if (answering_ || !ok) {
      request_next();
      return;
    }
    response_.set_data(request_.data());
    answering_ = true;
    responder_->Finish(response_, grpc::Status::OK, this);
  }

 private:
  void request_next() {
    answering_ = false;
    responder_.reset();
    context_.emplace();
    responder_.emplace(&*context_);
    service_.RequestEcho(&*context_, &request_, &*responder_, &queue_, &queue_, this);
  }

  Echo::AsyncService& service_;
  grpc::ServerCompletionQueue& queue_;
  std::optional<grpc::ServerContext> context_;
  std::optional<grpc::ServerAsyncResponseWriter<EchoRsp>> responder_;
  EchoReq request_;
  EchoRsp response_;
  bool answering_ = false;
};

int serve(ServerOptions options, const std::string& page) {
  Echo::AsyncService service;
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MINIMAL_STACK, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1024 * 1024);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, 1024 * 1024);
  builder.AddListeningPort("127.0.0.1:" + std::to_string(options.port),
                           grpc::InsecureServerCredentials(), &options.port);
  builder.RegisterService(&service);
  const auto queue = builder.AddCompletionQueue();
  const auto server = builder.BuildAndStart();
  if (server == nullptr || options.port == 0) {
    std::fprintf(stderr, "peer_grpc_server: cannot listen on 127.0.0.1\n");
    return 1;
  }
  std::vector<std::unique_ptr<CallSlot>> slots;
  for (int i = 0; i < kCallsInAdvance; ++i)
    slots.push_back(std::make_unique<CallSlot>(service, *queue));
  print_ready("peer_grpc_server", options.port, page);
  void* tag = nullptr;
  bool ok = false;
  while (queue->Next(&tag, &ok)) static_cast<CallSlot*>(tag)->proceed(ok);
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  const auto options = bench::parse_server(argc, argv);
  bench::allow_many_files();
  std::string page;
  bench::ServerPage::publish(page);
  return bench::serve(options, page);
}
