// SPDX-License-Identifier: BSL-1.0
#include "m3/net/loopback.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "m3/async/once.h"
#include "m3/async/timer.h"

namespace m3 {

/// One end of a pipe: the bytes in flight to it, and the handler that gets them.
struct LoopbackNet::Side {
  Side(LoopbackNet& owner, Pipe& both, Core& home, Side& other)
      : net(owner), pipe(both), core(home), peer(other), wake(*this) {}

  void start(StreamHandler& to) {
    handler = &to;
    wake_up();
  }
  std::size_t send(std::string_view bytes);
  void pause(bool stop) {
    paused = stop;
    if (!stop) wake_up();
  }
  void close();
  void cut();
  void wake_up();

  TimePoint came_by{};  // what is shown

 private:
  friend struct Pipe;

  struct Chunk {
    TimePoint due;
    std::string bytes;
    bool end = false;  // the peer closed
  };
  /// Posted to the side's core; holds the pipe meanwhile.
  struct Wake final : Core::Runnable {
    explicit Wake(Side& owner)
        : Runnable(async_detail::run_member<Runnable, &Wake::fire>), side(owner) {}
    void fire() {
      const std::shared_ptr<Pipe> alive = std::move(keep);
      side.run();
    }
    Side& side;
    std::shared_ptr<Pipe> keep;
  };

  void run();
  void deliver_due();
  void show(std::string bytes);
  void fail(std::string why);
  void put(Chunk chunk);
  bool end_has_come() const {
    return !coming.empty() && coming.back().end && coming.back().due <= core.now();
  }

  LoopbackNet& net;
  Pipe& pipe;
  Core& core;
  Side& peer;
  StreamHandler* handler = nullptr;
  std::deque<Chunk> coming;
  std::size_t coming_bytes = 0;
  std::string tail;  // shown, not taken
  bool open = true;
  bool paused = false;
  bool show_again = false;
  bool blocked = false;  // a send fell short
  bool was_cut = false;
  bool to_nobody = false;  // sent after the peer closed
  Wake wake;
  async_detail::Bound<async_detail::TimerNode, &Side::wake_up> timer{*this};
};

struct LoopbackNet::Pipe : std::enable_shared_from_this<Pipe> {
  Pipe(LoopbackNet& net, Core& dialer, Core& acceptor)
      : options(net.options_),
        ends{{net, *this, dialer, ends[1]}, {net, *this, acceptor, ends[0]}} {}
  const Options options;
  Side ends[2];
};

void LoopbackNet::Side::wake_up() {
  if (wake.keep) return;
  wake.keep = pipe.shared_from_this();
  core.post(wake);
}

std::size_t LoopbackNet::Side::send(std::string_view bytes) {
  if (!open || was_cut || bytes.empty()) return bytes.size();  // there is no handler for them
  if (!peer.open) {
    to_nobody = true;
    wake_up();
    return bytes.size();
  }
  const std::size_t room = pipe.options.window - std::min(pipe.options.window, peer.coming_bytes);
  const std::size_t taken = std::min(room, bytes.size());
  const std::size_t slice = pipe.options.slice ? pipe.options.slice : taken;
  for (std::size_t at = 0; at < taken; at += slice) {
    Chunk chunk;
    chunk.due = core.now() + pipe.options.latency;
    chunk.bytes = std::string(bytes.substr(at, std::min(slice, taken - at)));
    peer.put(std::move(chunk));
  }
  blocked |= taken < bytes.size();
  return taken;
}

void LoopbackNet::Side::put(Chunk chunk) {
  coming_bytes += chunk.bytes.size();
  coming.push_back(std::move(chunk));
  wake_up();
}

void LoopbackNet::Side::close() {
  if (!open) return;
  open = false;
  handler = nullptr;
  timer.cancel();
  coming.clear();
  coming_bytes = 0;
  if (!peer.open || was_cut) return;
  Chunk end;
  end.due = core.now() + pipe.options.latency;
  end.end = true;
  peer.put(std::move(end));
}

void LoopbackNet::Side::cut() {
  if (!open) return;
  was_cut = true;
  wake_up();
}

void LoopbackNet::Side::run() {
  if (!open || !handler) return;
  if (was_cut) return fail("the connection was cut");
  if (net.frozen_) return;
  if (show_again && !paused) show(std::string());
  deliver_due();
  if (!open || paused || show_again || coming.empty()) {
    if (open && end_has_come() && (blocked || to_nobody)) fail("the peer closed the connection");
  } else {
    core.timers().add(timer, coming.front().due);
  }
  if (open && blocked && peer.open && peer.coming_bytes < pipe.options.window) {
    blocked = false;
    handler->on_writable();
  }
}

void LoopbackNet::Side::deliver_due() {
  bool took = false;
  while (open && !paused && !show_again && !coming.empty() && coming.front().due <= core.now()) {
    Chunk chunk = std::move(coming.front());
    coming.pop_front();
    coming_bytes -= chunk.bytes.size();
    if (chunk.end) return fail("the peer closed the connection");
    took = true;
    came_by = chunk.due;
    show(std::move(chunk.bytes));
  }
  if (took && peer.blocked) peer.wake_up();
}

void LoopbackNet::Side::show(std::string bytes) {
  if (!tail.empty()) bytes = std::exchange(tail, {}).append(bytes);
  const StreamHandler::Taken taken = handler->on_bytes(bytes);
  if (!open) return;
  if (taken.bytes) bytes.erase(0, taken.bytes);
  tail = std::move(bytes);
  tail.reserve(tail.size() + taken.needed);
  show_again = (taken.again || paused) && !tail.empty();
  if (show_again && !paused) wake_up();
}

void LoopbackNet::Side::fail(std::string why) {
  StreamHandler* told = handler;
  close();
  told->on_closed(Status(Errc::unavailable, std::move(why)));
}

/// The handle that a connection owns.
class LoopbackStream final : public Stream {
 public:
  LoopbackStream(std::shared_ptr<LoopbackNet::Pipe> pipe, LoopbackNet::Side& side, std::string name)
      : pipe_(std::move(pipe)), side_(side), peer_name_(std::move(name)) {}
  ~LoopbackStream() override { side_.close(); }
  void start(StreamHandler& handler) override { side_.start(handler); }
  std::size_t send(std::string_view bytes) override { return side_.send(bytes); }
  void pause_reading(bool paused) override { side_.pause(paused); }
  void close() override { side_.close(); }
  TimePoint came_by() const override { return side_.came_by; }
  const std::string& peer_name() const override { return peer_name_; }

 private:
  std::shared_ptr<LoopbackNet::Pipe> pipe_;
  LoopbackNet::Side& side_;
  std::string peer_name_;
};

/// Waits until the net is not frozen.
class LoopbackNet::ThawOp final : public async_detail::CtxOp {
 public:
  using value_type = void;
  ThawOp(Ctx& ctx, LoopbackNet& net) : CtxOp(ctx), net_(net) {}
  ThawOp(ThawOp&& other) noexcept : CtxOp(other.ctx()), net_(other.net_) {}
  bool start(async_detail::Waiter& waiter) {
    if (refused() || !net_.frozen_) return true;
    suspend(waiter);
    net_.waiting_for_thaw_.push_back(this);
    return false;
  }
  void take() const noexcept {}
  void thawed() { finish(); }

 private:
  void detach() noexcept override { std::erase(net_.waiting_for_thaw_, this); }
  LoopbackNet& net_;
};

void LoopbackNet::listen(Core& core, const HostPort& address, OnAccept on_accept) {
  listeners_[address.to_string()] = Listener{&core, std::move(on_accept)};
}

void LoopbackNet::unlisten(const HostPort& address) { listeners_.erase(address.to_string()); }

Result<std::unique_ptr<Stream>> LoopbackNet::connect(Core& from, const HostPort& address) {
  const std::string name = address.to_string();
  const auto listener = listeners_.find(name);
  if (listener == listeners_.end())
    return Status(Errc::unavailable, "connect to " + name + ": no process is listening there")
        .not_executed();
  Core& there = *listener->second.core;
  auto pipe = std::make_shared<Pipe>(*this, from, there);
  std::erase_if(pipes_, [](const std::weak_ptr<Pipe>& old) { return old.expired(); });
  pipes_.push_back(pipe);
  auto acceptor = std::make_unique<LoopbackStream>(pipe, pipe->ends[1],
                                                   "loopback:" + std::to_string(++connections_));
  there.post(async_detail::once([this, name, stream = std::move(acceptor)]() mutable {
    const auto found = listeners_.find(name);
    if (found == listeners_.end())
      return;                                            // closed meanwhile: the dialer sees a
                                                         // close
    const OnAccept on_accept = found->second.on_accept;  // a copy: it may unlisten
    on_accept(std::move(stream));
  }));
  return std::unique_ptr<Stream>(std::make_unique<LoopbackStream>(pipe, pipe->ends[0], name));
}

std::vector<std::shared_ptr<LoopbackNet::Pipe>> LoopbackNet::live_pipes() {
  std::vector<std::shared_ptr<Pipe>> live;
  for (const std::weak_ptr<Pipe>& known : pipes_)
    if (auto pipe = known.lock()) live.push_back(std::move(pipe));
  return live;
}

void LoopbackNet::cut_all() {
  for (const auto& pipe : live_pipes())
    for (Side& side : pipe->ends) side.cut();
}

void LoopbackNet::freeze(bool frozen) {
  frozen_ = frozen;
  if (frozen) return;
  for (ThawOp* op : std::exchange(waiting_for_thaw_, {})) op->thawed();
  for (const auto& pipe : live_pipes())
    for (Side& side : pipe->ends) side.wake_up();
}

Task<std::unique_ptr<Stream>> LoopbackTransport::connect(Ctx& ctx, HostPort address) {
  co_await LoopbackNet::ThawOp(ctx, net_);
  if (net_.options().latency > Nanos(0)) co_await sleep(ctx, 2 * net_.options().latency);
  co_return net_.connect(core_, address);
}

}  // namespace m3
