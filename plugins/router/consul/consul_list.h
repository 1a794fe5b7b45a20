// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "m3/base/member.h"
#include "plugins/client/consul/consul_json.h"

namespace m3 {

/// Reads Consul's answers about one service, one after the other. An entry that is identical to one
/// in the previous answer is not decoded again: a change among thousands of instances costs one
/// comparison of the bytes, plus the changed entries. Keeps the last answer. Pure; used by one
/// thread at a time, a helper's when the answer is a long one.
class ConsulList {
 public:
  explicit ConsulList(ServiceId service) : service_(std::move(service)) {}

  struct Read {
    std::vector<Member> members;
    std::vector<std::string> skipped;  ///< why entries are left out
    bool changed = false;              ///< the members differ from those of the previous read
  };
  /// data_loss: it is not an answer of Consul; then nothing is kept.
  Result<Read> read(std::string body);

  const ServiceId& service() const noexcept { return service_; }
  /// Of the last answer.
  std::size_t bytes() const noexcept { return body_ ? body_->size() : 0; }

 private:
  struct Entry {
    std::string_view text;  // in *body_
    Member member;
    std::string wrong;     // not empty: why it is left out
    bool foreign = false;  // of another service with the same name in Consul
  };
  using Entries = std::vector<Entry>;
  class Before;

  Status decode(Entry& entry) const;
  Read collect() const;

  const ServiceId service_;
  std::unique_ptr<const std::string> body_;
  Entries entries_;
  std::vector<Member> last_;
  bool heard_ = false;
};

}  // namespace m3
