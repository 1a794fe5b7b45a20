// SPDX-License-Identifier: BSL-1.0
#include "m3/rpc/admission.h"

#include "echo_fixture.h"

using namespace rpc_test;
using m3::Admission;
using m3::AdmissionRequest;
using m3::as_result;
using m3::Ctx;
using m3::Errc;
using m3::Status;

namespace {

/// Lets in so many bytes at most, and writes down what it was told.
class Gatekeeper final : public Admission {
 public:
  struct Book {
    std::vector<std::string> asked, ended;
    std::size_t most_bytes = 1000;
    m3::Nanos oldest{0};
    m3::Nanos last_took{0};
    bool with_metadata = false;
  };
  explicit Gatekeeper(Book& book) : book_(book) {}
  Status admit(const AdmissionRequest& request) override {
    book_.asked.push_back(std::string(request.method.full_name) + " of " +
                          std::string(request.caller));
    book_.oldest = std::max(book_.oldest, request.age);
    book_.with_metadata = book_.with_metadata || !request.metadata.empty();
    CHECK(request.left > m3::Nanos(0));
    if (request.bytes > book_.most_bytes)
      return Status(Errc::resource_exhausted, "too large for today").with_retry_after(3s);
    return m3::ok;
  }
  void ended(const m3::MethodInfo& method, const Status& outcome, m3::Nanos took) override {
    book_.last_took = took;
    book_.ended.push_back(std::string(method.full_name) + " " + m3::errc_name(outcome.code()));
  }

 private:
  Book& book_;
};

std::function<std::unique_ptr<Admission>(m3::Core&)> keeper(Gatekeeper::Book& book) {
  return [&book](m3::Core&) { return std::make_unique<Gatekeeper>(book); };
}

using Lines = std::vector<std::string>;

}  // namespace

CO_TEST("rpc: an admission is called before a request is parsed, and again when it has ended") {
  Net net(sim);
  Gatekeeper::Book book;
  auto& server = net.add("dev.w.echo.1", true);
  server.node.admit_by(keeper(book));
  auto& caller = net.add("dev.w.caller.1", false);
  EchoClient client(caller.node);
  Ctx own(ctx, m3::Deadline::never());
  CHECK(own.set_outgoing_meta("color", "red").is_ok());
  const EchoReq small = request("ann");
  CHECK((co_await client.echo(own, small)).text() == "ann");
  CHECK(book.asked == Lines{"/rpc_test.Echo/Echo of dev.w.caller.1"});
  CHECK(book.ended == Lines{"/rpc_test.Echo/Echo ok"});
  CHECK(book.with_metadata);

  const EchoReq large = request(std::string(2000, 'x'));
  auto refused = co_await as_result(client.echo(ctx, large));
  CHECK(refused.status() == Errc::resource_exhausted);
  CHECK(refused.status().text() == "too large for today");
  CHECK(refused.status().retry_after() == 3s);
  CHECK_FALSE(refused.status().maybe_executed());
  CHECK(server.handler.started == 1);
  CHECK(book.ended.size() == 1);  // it was not let in
  CHECK(counted(server.metrics, "m3_rpc_refused_total", "admission") >= 1);
  co_await net.stop(ctx);
}

CO_TEST("rpc: admissions are asked in order, for calls of this process and notifies, too") {
  Net net(sim);
  Gatekeeper::Book first, second;
  first.most_bytes = 10;
  auto& server = net.add("dev.w.echo.1", true);
  server.node.admit_by(keeper(first));
  server.node.admit_by(keeper(second));
  EchoClient client(server.node);  // calls itself
  const EchoReq small = request("ann"), large = request("more than ten bytes");
  CHECK((co_await client.echo(ctx, small)).text() == "ann");
  CHECK((co_await as_result(client.echo(ctx, large))).status() == Errc::resource_exhausted);
  CHECK(first.asked.size() == 2);
  CHECK(second.asked.size() == 1);
  first.most_bytes = 1000;  // the second refuses what the first has let in
  second.most_bytes = 10;
  CHECK((co_await as_result(client.echo(ctx, large))).status() == Errc::resource_exhausted);
  CHECK(first.ended == Lines{"/rpc_test.Echo/Echo ok", "/rpc_test.Echo/Echo resource_exhausted"});
  first.most_bytes = 10;
  second.most_bytes = 1000;

  auto& caller = net.add("dev.w.caller.1", false);
  EchoClient remote(caller.node);
  Notice notice;
  notice.set_text("hi");
  co_await remote.tell(ctx, notice);
  notice.set_text("more than ten bytes");
  co_await remote.tell(ctx, notice);
  co_await m3::sleep(ctx, 10ms);
  CHECK(server.handler.notices == Lines{"hi"});
  CHECK(second.ended == Lines{"/rpc_test.Echo/Echo ok", "/rpc_test.Echo/Tell ok"});
  co_await net.stop(ctx);
}

CO_TEST("rpc: an admission is called at the end of requests that cannot be parsed, too") {
  Net net(sim);
  Gatekeeper::Book book;
  auto& server = net.add("dev.w.echo.1", true);
  server.node.admit_by(keeper(book));
  auto& caller = net.add("dev.w.caller.1", false);
  EchoClient client(caller.node);
  EchoReq good = request("its record is used again");
  good.set_wait_ms(1000);
  co_await client.echo(ctx, good);
  CHECK(book.last_took >= 1s);
  // A Notice of the same number of fields would parse: this one is not UTF-8, as no string may be.
  m3::MethodInfo method = EchoService::kEcho;
  Nothing garbage;
  garbage.GetReflection()->MutableUnknownFields(&garbage)->AddLengthDelimited(1, "\xff\xfe");
  EchoRsp rsp;
  const m3::ServiceId service = app_id("dev.w.echo.1").service_id();
  auto refused = co_await as_result(
      m3::CallOp(caller.node.caller(), ctx, service, method, garbage, &rsp, m3::to::random()));
  CHECK(refused.status() == Errc::invalid_argument);
  CHECK(book.asked.size() == 2);
  CHECK(book.ended == Lines{"/rpc_test.Echo/Echo ok", "/rpc_test.Echo/Echo invalid_argument"});
  CHECK(book.last_took == 0s);  // no handler began
  co_await net.stop(ctx);
}
