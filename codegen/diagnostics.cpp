// SPDX-License-Identifier: BSL-1.0
#include "codegen/diagnostics.h"

#include <google/protobuf/descriptor.h>

namespace m3::codegen_detail {

Place Place::at(std::initializer_list<int> steps) const {
  Place place = *this;
  place.path.insert(place.path.end(), steps);
  return place;
}

void Diagnostics::error(const Place& place, const std::string& text) {
  google::protobuf::SourceLocation location;
  std::vector<int> path = place.path;
  // An option set as part of `{ ... }` has no location of its own; the option as a whole has one.
  while (!place.file->GetSourceLocation(path, &location) && !path.empty()) path.pop_back();
  // An empty path is the whole file, whose "location" is its first token: say line 1 by itself.
  const bool known = !path.empty();
  const int line = known ? location.start_line + 1 : 1;
  const int column = known ? location.start_column + 1 : 1;
  errors_.push_back(place.file->name() + ":" + std::to_string(line) + ":" + std::to_string(column) +
                    ": " + text);
}

std::string Diagnostics::to_string() const {
  std::string text = std::to_string(errors_.size()) + (errors_.size() == 1 ? " error" : " errors");
  for (const auto& error : errors_) text += "\n" + error;
  return text;
}

}  // namespace m3::codegen_detail
