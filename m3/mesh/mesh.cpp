// SPDX-License-Identifier: BSL-1.0
#include "m3/mesh/mesh.h"

#include <utility>

#include "m3/mesh/detail/core_view.h"
#include "m3/mesh/detail/watches.h"

namespace m3 {

using mesh_detail::CoreView;
using mesh_detail::Watches;

Mesh::Mesh(Runtime& runtime, Router& router, MeshConfig config, MetricRegistry& metrics)
    : watches_(std::make_unique<Watches>(runtime, router, config, metrics)) {
  for (unsigned i = 0; i < runtime.size(); ++i)
    views_.push_back(std::make_unique<CoreView>(runtime.core(i), config, *watches_));
}

Mesh::~Mesh() = default;

void Mesh::start(RpcNode& node) {
  std::vector<CoreView*> views;
  for (const auto& view : views_) views.push_back(view.get());
  watches_->start(node, std::move(views));
}
Task<> Mesh::stop(Ctx& ctx) { return watches_->stop(ctx); }

CoreView& Mesh::view(Core& core) { return *views_[core.index()]; }

Pick Mesh::pick(const RouteQuery& query) { return view(query.peers.core()).pick(query); }

std::vector<std::shared_ptr<const Instance>> Mesh::all(Core& core, const ServiceId& service) {
  return view(core).all(service);
}

std::span<const Instance* const> Mesh::eligible(Core& core, const ServiceId& service) {
  return view(core).eligible(service);
}

void Mesh::on_sick(Core& core, const Instance& instance) { view(core).on_sick(instance); }

std::shared_ptr<const mesh_detail::Snapshot> Mesh::snapshot(Core& core, const ServiceId& service) {
  return view(core).snapshot(service);
}

MemberWatch Mesh::observe(const ServiceId& service, MemberObserver observer) {
  return watches_->observe(service, std::move(observer));
}

Task<SelfReport> Mesh::report_from(Ctx& ctx, Member member) {
  return watches_->report_from(ctx, std::move(member));
}

Status Mesh::router_status() const { return watches_->router_status(); }

}  // namespace m3
