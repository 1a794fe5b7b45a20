// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "apps/m3ctl/cluster/cluster_file.h"

namespace m3ctl {

/// What stands for a word in braces: {"consul", "127.0.0.1:8500"}, {"port", "20001"}.
using Places = std::map<std::string, std::string, std::less<>>;

/// An app's own file, for merge() to put keys over; empty without one. Errors go to `errors`.
m3::ConfigValue load_app_config(const ClusterFile& file, const ClusterFile::App& app,
                                m3::ErrorList& errors);

/// `set` with everything in braces replaced. `peers` is what the list item "{peers}" stands for.
/// What is unknown or needs a service that the app does not list goes to `errors`.
std::map<std::string, AnyValue> fill(const ClusterFile& file, const ClusterFile::App& app,
                                     const Places& places, const std::vector<std::string>& peers,
                                     m3::ErrorList& errors);

/// Puts `value` at the dotted `key`. invalid_argument: a part of the key is there and no table.
m3::Status merge(m3::ConfigValue& into, const std::string& key, const m3::ConfigValue& value);

}  // namespace m3ctl
