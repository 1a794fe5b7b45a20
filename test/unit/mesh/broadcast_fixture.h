// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "m3/async/countdown.h"
#include "m3/mesh/broadcasts.h"
#include "mesh_fixture.h"

namespace mesh_test {

/// A broker inside the test, which loses and repeats messages when told to.
class Hub {
 public:
  class Line final : public m3::Broker {
   public:
    explicit Line(Hub& hub) : hub_(hub) { hub_.lines_.push_back(this); }
    ~Line() override { std::erase(hub_.lines_, this); }
    bool reaches_other_processes() const override { return true; }
    std::size_t max_payload() const override { return hub_.max_payload; }
    std::size_t max_pending() const override { return hub_.max_pending; }
    m3::Task<> subscribe(m3::Ctx& ctx, std::string topic, Subscriber& subscriber) override {
      const std::pair wish(std::move(topic), &subscriber);
      if (std::ranges::find(wishes_, wish) == wishes_.end()) wishes_.push_back(wish);
      co_await hub_.asked.zero(ctx);
      if (std::ranges::find(wishes_, wish) == wishes_.end())
        co_return m3::Status(m3::Errc::cancelled, "it is not subscribed");
      co_return hub_.joins;
    }
    void unsubscribe(std::string_view topic, Subscriber& subscriber) override {
      std::erase_if(wishes_, [&](const auto& wish) {
        return wish.first == topic && wish.second == &subscriber;
      });
    }
    m3::Status can_publish(std::size_t waiting) const override {
      if (hub_.down) return m3::Status(m3::Errc::unavailable, "the broker is away");
      if (waiting > hub_.room)
        return m3::Status(m3::Errc::resource_exhausted, "the broker is full");
      return m3::ok;
    }
    m3::Status publish(std::string_view topic, std::string_view payload,
                       std::uint32_t notifies) override {
      if (hub_.loses) return tell_lost(notifies), m3::Status();
      CHECK(payload.size() <= max_payload());
      ++hub_.messages;
      hub_.last = payload;
      if (hub_.down) return m3::Status(m3::Errc::unavailable, "the broker is away");
      if (hub_.lose > 0) return --hub_.lose, m3::Status();
      if (hub_.refuses)
        return tell_refused(topic, m3::Status(m3::Errc::permission_denied, "no")), m3::Status();
      for (int i = 0; i < (hub_.twice ? 2 : 1); ++i)
        for (Line* line : hub_.lines_) line->hear(topic, payload);
      return m3::ok;
    }
    void hear(std::string_view topic, std::string_view payload) {
      const auto wishes = wishes_;
      for (const auto& [name, subscriber] : wishes)
        if (name == topic) subscriber->on_message(topic, payload);
    }
    std::size_t wishes() const { return wishes_.size(); }

   private:
    Hub& hub_;
    std::vector<std::pair<std::string, Subscriber*>> wishes_;
  };

  std::size_t max_payload = 4096;
  std::size_t max_pending = 1u << 20;
  int messages = 0;
  std::string last;  // of them
  std::size_t room = 1u << 20;
  int lose = 0;
  bool twice = false;
  bool down = false;
  bool refuses = false;  // what it has taken
  bool loses = false;    // what it has taken, with its connection
  m3::Status joins;      // the outcome of subscribe()
  m3::Countdown asked;   // it waits for that

 private:
  std::vector<Line*> lines_;
};

/// An app of its own, over the hub.
class Member final : public m3::Host, public RoleService {
 public:
  Member(m3::testing::SimRuntime& sim, Hub* hub, const std::string& id, std::uint64_t run_id = 1,
         const std::string& token = "", const std::string& second_token = "")
      : id_(*m3::AppId::parse(id)),
        line_(hub ? std::make_unique<Hub::Line>(*hub) : nullptr),
        broadcasts_(sim.runtime(), line_.get(), {id_, run_id, 1s, token, second_token}, metrics),
        node_(sim.runtime(), options(), resolver_, metrics) {
    CHECK(node_.serve(*this).is_ok());
  }
  m3::Task<> start(m3::Ctx& ctx) { return broadcasts_.start(ctx, node_); }
  m3::Task<> stop(m3::Ctx& ctx) {
    co_await broadcasts_.stop(ctx);
    co_await node_.stop(ctx);
    co_return m3::ok;
  }
  const m3::AppId& app_id() const override { return id_; }
  m3::Caller& caller() override { return node_.caller(); }
  m3::Broadcaster* broadcaster() override { return &broadcasts_; }
  m3::RpcNode& node() { return node_; }
  Hub::Line& line() { return *line_; }

  m3::Task<WhoRsp> who(m3::Ctx&, const WhoReq&) override { co_return WhoRsp(); }
  m3::Task<> tell(m3::Ctx& ctx, const Notice& notice) override {
    heard.push_back(std::string(ctx.caller()) + ": " + notice.text() +
                    std::string(ctx.meta("color")));
    left = ctx.deadline().at() - ctx.core().now();
    co_return m3::ok;
  }
  /// "ok", or what went wrong; and a turn later.
  m3::Task<std::string> say(m3::Ctx& ctx, std::string text, m3::NotifyRoute route) {
    std::string said = co_await say_now(ctx, std::move(text), std::move(route));
    co_await m3::sleep(ctx, 1ms);
    co_return said;
  }
  m3::Task<std::string> say_now(m3::Ctx& ctx, std::string text, m3::NotifyRoute route) {
    RoleClient role(*this);
    Notice notice;
    notice.set_text(std::move(text));
    m3::Ctx own(ctx.core(), m3::Deadline::never(), this);
    auto told = co_await m3::as_result(role.tell(own, notice, std::move(route)));
    co_return told.status().to_string();
  }
  /// Of the series that has the label, or of the first.
  double count(const std::string& name, const std::string& label = "") {
    for (const auto& family : metrics.collect())
      if (family.name == name)
        for (const auto& series : family.series)
          if (label.empty() || series.labels.front().second == label) return series.value;
    return -1;
  }

  m3::MetricRegistry metrics;
  std::vector<std::string> heard;
  m3::Nanos left{0};

 private:
  m3::RpcNode::Options options() {
    m3::RpcNode::Options out;
    out.id = id_;
    out.host = this;
    return out;
  }
  const m3::AppId id_;
  std::unique_ptr<Hub::Line> line_;
  m3::StaticResolver resolver_;
  m3::Broadcasts broadcasts_;
  m3::RpcNode node_;
};

using Lines = std::vector<std::string>;

}  // namespace mesh_test
