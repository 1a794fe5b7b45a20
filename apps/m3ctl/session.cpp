// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/session.h"

#include <unistd.h>

#include <chrono>
#include <utility>

#include "m3/admin.m3.h"
#include "m3/async/when.h"
#include "m3/base/near_names.h"

namespace m3ctl {
namespace {

using m3::Ctx;
using m3::Deadline;
using m3::Errc;
using m3::Member;
using m3::Result;
using m3::Status;
using m3::Task;

m3::RuntimeConfig one_core() {
  m3::RuntimeConfig config;
  config.cores = 1;
  config.blocking_threads = 1;
  return config;
}

Status say_deadline(Status status, m3::Duration deadline) {
  if (status.code() != Errc::deadline_exceeded) return status;
  return std::move(status).add_context("after " + m3::format_duration(deadline));
}

/// The error text for a connection that failed at the token: the two sides, the token's source, and
/// what to do.
Status say_token(const Status& status, const std::string& address, const std::string& token_from) {
  const std::string text =
      token_from.empty()
          ? address + " requires a token, but m3ctl has none (" + status.text() +
                "): give it the token under [rpc] in that app's configuration: "
                "--token T, M3_TOKEN=T, or --config FILE of an app that has it"
          : address + " and m3ctl do not have the same token (" + status.text() +
                "): m3ctl took its own from " + token_from +
                "; give it the token under [rpc] in that app's configuration, or no token if that "
                "has none: --token T, M3_TOKEN=T, or --config FILE of an app that has it";
  return Status(Errc::unauthenticated, text).not_executed();
}

Status no_source(const Target& target) {
  return Status(
      Errc::invalid_argument,
      (target.text.empty()
           ? "no cluster and no configuration given"
           : target.text +
                 " is an id, but neither a cluster nor a configuration is given to find it") +
          ": no cluster runs here (m3ctl up starts one), so add --config FILE with an "
          "app's configuration" +
          (target.text.empty() ? "" : ", or give the address, like 127.0.0.1:20051"));
}

Task<Session::Reached> reach(Ctx& ctx, m3::Mesh& mesh, Member member) {
  auto report = co_await m3::as_result(mesh.report_from(ctx, std::move(member)));
  co_return report.is_ok() ? Session::Reached{true, *report} : Session::Reached();
}

}  // namespace

std::string key_of(const Member& member) {
  return member.id.empty() ? member.address.to_string() : member.id.to_string();
}

m3::Pick Session::Directory::pick(const m3::RouteQuery& query) {
  m3::Pick picked = resolver->pick(query);
  if (picked.instance) {
    last.id = picked.instance->id;
    last.address = picked.instance->address;
  }
  return picked;
}

// -------------------------------------------------------------------------------- open and close

Result<std::unique_ptr<Session>> Session::open(const std::string& text, const Options& options) {
  Target target;
  if (!text.empty()) {
    auto parsed = Target::parse(text);
    if (!parsed.is_ok()) return std::move(parsed).status();
    target = *std::move(parsed);
  }
  RouteSource source;
  if (!target.is_address() || text.empty() || !options.config.empty() || !options.cluster.empty()) {
    auto found = RouteSource::find(options);
    if (!found.is_ok()) return std::move(found).status();
    source = *std::move(found);
    if (source.title.empty()) return no_source(target);
  }
  source.choose_token(options);
  std::unique_ptr<Session> out(new Session(std::move(target), std::move(source)));
  if (Status status = out->start(options); !status) return status;
  return out;
}

Session::Session(Target target, RouteSource source)
    : target_(std::move(target)), source_(std::move(source)), runtime_(one_core()) {}

/// Of the target's environment, because some routers query only one environment.
m3::AppId Session::own_id() const {
  std::string world = target_.service.empty() ? "" : target_.service.world_id().to_string();
  if (world.empty() && source_.config.id) world = source_.config.id->world_id().to_string();
  if (world.empty()) world = "tool.world1";
  return *m3::AppId::parse(world + ".m3ctl." + std::to_string(getpid()));
}

Status Session::start(const Options& options) {
  const bool by_address = target_.is_address() && !target_.text.empty();
  if (by_address) {
    Member member;
    member.address = *m3::HostPort::parse(target_.key);
    (void)direct_.add_address(member.address).is_ok();  // the target is the only one
    members_.push_back(std::move(member));
    directory_.resolver = &direct_;
  } else {
    auto made = Routing::make(source_, own_id(), runtime_, metrics_);
    if (!made.is_ok()) return std::move(made).status();
    routing_ = *std::move(made);
    const bool own = source_.config.id && source_.config.id->to_string() == target_.text;
    if (!own && !routing_->own_router()) return routing_->own_router();
    directory_.resolver = &routing_->mesh();
  }
  m3::RpcNode::Options node;  // without an id: a tool that only dials
  node.config = source_.config.rpc_config();
  node_.emplace(runtime_, std::move(node), directory_, metrics_);
  runtime_.start();
  return by_address ? Status() : find_members(options);
}

Status Session::find_members(const Options& options) {
  std::vector<Member> known;
  const auto ask = [&](Ctx& ctx) -> Task<> {
    co_await routing_->start(ctx, *node_);
    known = co_await routing_->members(ctx, m3::ServiceId());
    co_return m3::ok;
  };
  Status status = run(options, ask).status;
  if (!status) return std::move(status).add_context(routing_->title());
  for (const Member& member : known)
    if (target_.text.empty() || (target_.is_service() ? member.id.service_id() == target_.service
                                                      : member.id.to_string() == target_.text))
      members_.push_back(member);
  if (members_.empty())
    for (const Member& member : source_.local)
      if (member.id.to_string() == target_.text) members_.push_back(member);
  if (members_.empty() && !routing_->own_router()) return routing_->own_router();
  if (members_.empty()) return nowhere(known);
  if (!target_.is_address() && !target_.is_service()) {
    // An operator's call to one instance is sent there even if its checks fail and other callers
    // avoid it.
    directory_.resolver = &direct_;
    return direct_.add(members_.front().id, members_.front().address);
  }
  return m3::ok;
}

/// A static list does not change by waiting; the result of a discovery does.
Status Session::nowhere(const std::vector<Member>& known) const {
  const Errc code = routing_->is_discovery() ? Errc::unavailable : Errc::invalid_argument;
  std::vector<std::string> ids;
  for (const Member& member : known) ids.push_back(member.id.to_string());
  if (target_.text.empty())
    return Status(Errc::not_found, routing_->title() + " knows no instance");
  std::string text = target_.text + " is not among the " + std::to_string(ids.size()) +
                     " instances of " + routing_->title();
  const std::vector<std::string_view> views(ids.begin(), ids.end());
  const std::string hint = m3::did_you_mean(target_.text, views);
  if (!hint.empty()) return Status(code, text + ", " + hint).not_executed();
  for (std::size_t i = 0; i < ids.size() && i < 8; ++i) text += (i ? ", " : ": ") + ids[i];
  return Status(code, text).not_executed();
}

Session::~Session() {
  if (!node_) return;  // it never started
  auto stopped = runtime_.block_on(runtime_.core(0), [this](Ctx& ctx) -> Task<> {
    if (routing_) {
      (void)co_await m3::as_result(routing_->stop_mesh(ctx));
    }
    (void)co_await m3::as_result(node_->stop(ctx));
    if (routing_) {
      (void)co_await m3::as_result(routing_->stop_router(ctx));
    }
    co_return m3::ok;
  });
  (void)stopped.is_ok();  // the process ends anyway
  node_.reset();
  routing_.reset();
  runtime_.stop();
}

// ------------------------------------------------------------------------------------------ calls

m3::NotifyRoute Session::route(const m3::NotifyRoute& wanted) const {
  if (wanted.mode() != m3::RouteMode::none || target_.is_service()) return wanted;
  return m3::to::app(target_.key);
}

/// Runs `work` within the deadline; returns its time, its error and the instance.
Outcome Session::run(const Options& options, const std::function<Task<>(Ctx&)>& work) {
  Outcome out;
  directory_.last = Member();
  auto done = runtime_.block_on(runtime_.core(0), [&](Ctx& root) -> Task<> {
    const m3::TimePoint began = root.core().now();
    Ctx ctx(root, Deadline(began + options.deadline));
    for (const auto& [key, value] : options.meta)
      if (Status set = ctx.set_outgoing_meta(key, value); !set) co_return set;
    auto result = co_await m3::as_result(work(ctx));
    out.took = std::chrono::steady_clock::now() - began;
    if (ctx.last_reply()) out.reply = *ctx.last_reply();
    co_return std::move(result).status();
  });
  out.status = say_deadline(std::move(done).status(), options.deadline);
  if (directory_.last.address.port != 0) out.address = directory_.last.address.to_string();
  // A call refused by a handler was executed; one refused with its connection was not.
  if (out.status.code() == Errc::unauthenticated && !out.status.maybe_executed())
    out.status = say_token(out.status, out.address, source_.token_from);
  return out;
}

Result<m3::admin::DescribeRsp> Session::describe(const m3::Route& route, bool brief,
                                                 m3::Duration deadline, m3::Nanos* took) {
  m3::admin::DescribeReq request;
  request.set_brief(brief);
  m3::admin::DescribeRsp response;
  Options options;
  options.deadline = deadline;
  // By the route of the call if that selects instances; a hash without a key does not.
  const bool keyless =
      route.mode() == m3::RouteMode::none || route.mode() == m3::RouteMode::broadcast;
  Outcome outcome = call(m3::admin::ReflectionService::kDescribe, request, response,
                         keyless ? m3::to::random() : route, options);
  if (took) *took = outcome.took;
  if (outcome.status.is_ok()) return response;
  if (outcome.status.code() == Errc::unimplemented)
    return std::move(outcome.status)
        .add_context(outcome.address + " answers, but does not describe its methods");
  return std::move(outcome.status);
}

Outcome Session::call(const m3::MethodInfo& method, const google::protobuf::MessageLite& request,
                      google::protobuf::MessageLite& response, const m3::Route& route,
                      const Options& options) {
  return run(options, [&](Ctx& ctx) -> Task<> {
    co_await m3::CallOp(node_->caller(), ctx, target_.service, method, request, &response, route);
    co_return m3::ok;
  });
}

Outcome Session::notify(const m3::MethodInfo& method, const google::protobuf::MessageLite& request,
                        const m3::NotifyRoute& route, const Options& options) {
  Outcome out = run(options, [&](Ctx& ctx) -> Task<> {
    return node_->caller().notify(ctx, target_.service, method, request, route);
  });
  if (!out.status.is_ok()) return out;
  // A connection keeps the order of frames: once a ping behind the notify is answered, it was read.
  const bool all = route.mode() == m3::RouteMode::broadcast;
  const std::vector<Member> receivers = all ? members_ : std::vector<Member>{directory_.last};
  out.address.clear();
  for (const Member& receiver : receivers) {
    out.address += (out.address.empty() ? "" : ", ") + receiver.address.to_string();
    auto read = describe(m3::to::app(key_of(receiver)), true, options.deadline);
    if (!read.is_ok() && out.status.is_ok())
      out.status =
          std::move(read).status().add_context("sent, but it is unknown whether it was read");
  }
  return out;
}

std::vector<Session::Reached> Session::reach() {
  std::vector<Reached> found;
  Options options;
  (void)run(options, [&](Ctx& ctx) -> Task<> {
    std::vector<Task<Reached>> asked;
    asked.reserve(members_.size());
    for (const Member& member : members_)
      asked.push_back(m3ctl::reach(ctx, routing_->mesh(), member));
    auto all = m3::when_all(ctx.core(), std::move(asked));
    found = co_await std::move(all);
    co_return m3::ok;
  });
  found.resize(members_.size());
  return found;
}

}  // namespace m3ctl
