// SPDX-License-Identifier: BSL-1.0
#include "support/rogue_server.h"

#include <stdexcept>

#include "m3/base/method_hash.h"

namespace fault {
namespace {

m3::RuntimeConfig one_core() {
  m3::RuntimeConfig config;
  config.cores = 1;
  return config;
}

m3::HelloConfig hello_of(const std::string& id, const std::vector<std::string>& methods) {
  m3::HelloConfig hello;
  hello.app_id = id;
  std::vector<m3::MethodName> served;
  for (const std::string& name : methods) served.push_back({m3::method_hash(name), name});
  hello.methods = m3::encode_methods(served);
  return hello;
}

}  // namespace

RogueServer::RogueServer(const std::string& id, const std::vector<std::string>& methods,
                         Manner manner)
    : runtime_(one_core()),
      transport_(runtime_.core(0), buffers_),
      peer_(runtime_.core(0), hello_of(id, methods)) {
  peer_.manner = manner;
  runtime_.start();
  on_core([this] {
    auto made = m3::TcpListener::listen(runtime_.core(0), {"127.0.0.1", 0},
                                        [this](int fd, std::string from) {
                                          auto stream = transport_.adopt(fd, std::move(from));
                                          if (stream.is_ok()) peer_.accept(*std::move(stream));
                                        });
    if (made.is_ok()) listener_ = *std::move(made);
  });
  if (!listener_) throw std::runtime_error("the rogue does not listen");
}

RogueServer::~RogueServer() {
  on_core([this] {
    listener_->close();
    peer_.close();
  });
  runtime_.stop();
}

void RogueServer::set_manner(Manner manner) {
  on_core([&] { peer_.manner = manner; });
}

void RogueServer::on_request(std::function<void()> what) {
  on_core([&] { peer_.on_request = std::move(what); });
}

int RogueServer::requests() {
  int out = 0;
  on_core([&] { out = peer_.requests; });
  return out;
}

std::vector<m3::TimePoint> RogueServer::connected() {
  std::vector<m3::TimePoint> out;
  on_core([&] { out = peer_.connected; });
  return out;
}

void RogueServer::on_core(const std::function<void()>& what) {
  const m3::Status done = runtime_
                              .block_on(runtime_.core(0),
                                        [&](m3::Ctx&) -> m3::Task<> {
                                          what();
                                          co_return m3::ok;
                                        })
                              .status();
  if (!done) throw std::runtime_error("the rogue's core: " + done.to_string());
}

}  // namespace fault
