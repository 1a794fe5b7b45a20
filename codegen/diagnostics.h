// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

namespace google::protobuf {
class FileDescriptor;
}

namespace m3::codegen_detail {

/// A place inside a .proto file, as the path of field numbers that SourceCodeInfo uses.
struct Place {
  const google::protobuf::FileDescriptor* file;
  std::vector<int> path;

  /// The place `steps` further down: `service.at({4, 52002, 1})` is the value of an option's field.
  Place at(std::initializer_list<int> steps) const;
};

/// Collects the errors of a run, so that a user sees all of them at once.
class Diagnostics {
 public:
  /// `text` describes the error and the fix. The nearest enclosing place that protoc knows is
  /// shown.
  void error(const Place& place, const std::string& text);

  bool empty() const { return errors_.empty(); }
  /// "2 errors\nhello.proto:7:3: ...\nhello.proto:9:5: ...", without a newline at its end.
  std::string to_string() const;

 private:
  std::vector<std::string> errors_;
};

}  // namespace m3::codegen_detail
