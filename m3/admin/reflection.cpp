// SPDX-License-Identifier: BSL-1.0
#include "m3/admin/reflection.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string_view>
#include <unordered_set>
#include <utility>

#include "m3/admin.m3.h"

namespace m3 {
namespace {

using admin::DescribeReq;
using admin::DescribeRsp;
using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;

class Reflection final : public admin::ReflectionService {
 public:
  explicit Reflection(DescribeRsp all) : all_(std::move(all)) {}

  Task<> describe(Ctx&, const DescribeReq& req, DescribeRsp& rsp) override {
    if (req.brief()) {
      rsp.set_app_id(all_.app_id());
      rsp.set_version(all_.version());
    } else {
      rsp = all_;
    }
    co_return ok;
  }

 private:
  const DescribeRsp all_;
};

/// Descriptors of files, each once, after those it imports.
class FileCollector {
 public:
  explicit FileCollector(google::protobuf::FileDescriptorSet& out) : out_(out) {}
  void add(const FileDescriptor* file) {
    if (!seen_.insert(file).second) return;
    for (int i = 0; i < file->dependency_count(); ++i) add(file->dependency(i));
    file->CopyTo(out_.add_file());
  }

 private:
  google::protobuf::FileDescriptorSet& out_;
  std::unordered_set<const FileDescriptor*> seen_;
};

void describe_method(const MethodInfo& info, admin::DescribedMethod& out) {
  out.set_name(std::string(info.full_name));
  if (info.request) out.set_request(info.request().GetTypeName());
  if (info.response) out.set_response(info.response().GetTypeName());
  out.set_route(static_cast<wire::RouteMode>(info.route));
  out.set_notify(info.notify);
  out.set_client(info.client);
  out.set_idempotent(info.idempotent);
  out.set_timeout_ms(info.timeout_ms);
}

}  // namespace

std::unique_ptr<Service> make_reflection(const std::vector<Service*>& services, const AppId& id,
                                         std::string version) {
  DescribeRsp all;
  all.set_app_id(id.to_string());
  all.set_version(std::move(version));
  FileCollector files(*all.mutable_files());
  for (const Service* served : services) {
    auto& described = *all.add_services();
    described.set_name(std::string(served->service_name()));
    if (const auto* known = DescriptorPool::generated_pool()->FindServiceByName(described.name()))
      files.add(known->file());
    for (const MethodBinding& binding : served->bindings()) {
      describe_method(*binding.info, *described.add_methods());
      for (auto message : {binding.info->request, binding.info->response})
        if (message) files.add(message().GetDescriptor()->file());
    }
  }
  return std::make_unique<Reflection>(std::move(all));
}

}  // namespace m3
