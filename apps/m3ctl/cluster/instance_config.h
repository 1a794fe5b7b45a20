// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "apps/m3ctl/cluster/cluster_file.h"

namespace m3ctl {

/// The values of words in braces: {"consul", "127.0.0.1:8500"}, {"port", "20001"}.
using Places = std::map<std::string, std::string, std::less<>>;

/// An app's own file, into which merge() puts keys; empty without one. Errors are added to
/// `errors`.
m3::ConfigValue load_app_config(const ClusterFile& file, const ClusterFile::App& app,
                                m3::ErrorList& errors);

/// `set` with everything in braces replaced. `peers` replaces the list item "{peers}". Unknown
/// words, and those of a service that the app does not list, are added to `errors`.
std::map<std::string, AnyValue> fill(const ClusterFile& file, const ClusterFile::App& app,
                                     const Places& places, const std::vector<std::string>& peers,
                                     m3::ErrorList& errors);

/// Puts `value` at the dotted `key`. invalid_argument: a part of the key exists and is not a table.
m3::Status merge(m3::ConfigValue& into, const std::string& key, const m3::ConfigValue& value);

}  // namespace m3ctl
