// SPDX-License-Identifier: BSL-1.0
#include "m3/data/view.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "m3/options.pb.h"
#include "options.pb.h"

namespace m3 {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

/// m3game's list: "a,b, c".
bool lists(std::string_view names, std::string_view wanted) {
  while (!names.empty()) {
    const std::size_t comma = names.find(',');
    std::string_view name = names.substr(0, comma);
    names.remove_prefix(comma == std::string_view::npos ? names.size() : comma + 1);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    if (name == wanted) return true;
  }
  return false;
}

template <class Names>
bool has(const Names& names, const std::string& wanted) {
  return std::find(names.begin(), names.end(), wanted) != names.end();
}

}  // namespace

View::View(const Descriptor& type, std::string name) : type_(type), name_(std::move(name)) {
  collect(type_);
  learn();
}

void View::collect(const Descriptor& type) {
  std::vector<const Descriptor*> open{&type};
  while (!open.empty()) {
    const Descriptor* next = open.back();
    open.pop_back();
    if (!shown_.emplace(next, false).second) continue;
    for (int i = 0; i < next->field_count(); ++i)
      if (const Descriptor* inner = next->field(i)->message_type()) open.push_back(inner);
  }
}

/// A type shows something when one of its fields does; types may contain each other, so this is
/// repeated until nothing changes.
void View::learn() {
  for (bool changed = true; changed;) {
    changed = false;
    for (auto& [type, shown] : shown_) {
      if (shown) continue;
      for (int i = 0; i < type->field_count() && !shown; ++i)
        shown = share(*type->field(i)) != Share::none;
      changed = changed || shown;
    }
  }
}

/// What the field's options say; `part`: nothing.
View::Share View::own_share(const FieldDescriptor& field) const {
  const auto& options = field.options();
  const auto& ours = options.GetExtension(m3::view);
  const auto& theirs = options.GetExtension(::viewfield_option);
  if (has(ours.hide(), name_) || lists(theirs.bflag(), name_)) return Share::none;
  if (has(ours.show(), name_) || lists(theirs.wflag(), name_)) return Share::whole;
  return Share::part;
}

View::Share View::share(const FieldDescriptor& field) const {
  const Share own = own_share(field);
  if (own != Share::part) return own;
  const Descriptor* inner = field.message_type();
  return inner && shows(*inner) ? Share::part : Share::none;
}

bool View::shows(const Descriptor& type) const {
  const auto at = shown_.find(&type);
  return at != shown_.end() && at->second;
}

bool View::shows_anything() const { return shows(type_); }

std::unique_ptr<Message> View::of(const Message& entity) const {
  std::unique_ptr<Message> copy(entity.New());
  copy_into(entity, *copy);
  return copy;
}

void View::copy_into(const Message& from, Message& to) const {
  std::vector<const FieldDescriptor*> present;
  from.GetReflection()->ListFields(from, &present);
  // An entry of a map that is shown in part keeps its key: it says whose part it is.
  const bool is_entry = from.GetDescriptor()->options().map_entry();
  std::vector<const FieldDescriptor*> whole;
  for (const FieldDescriptor* field : present) {
    const Share shown = is_entry && field->number() == 1 ? Share::whole : share(*field);
    if (shown == Share::whole) whole.push_back(field);
    if (shown == Share::part) copy_part(from, to, *field);
  }
  if (whole.empty()) return;
  // One copy of all, and the wanted fields out of it: a field alone cannot be copied by its number.
  std::unique_ptr<Message> all(from.New());
  all->CopyFrom(from);
  from.GetReflection()->SwapFields(all.get(), &to, whole);
}

void View::copy_part(const Message& from, Message& to, const FieldDescriptor& field) const {
  const Reflection& reflection = *from.GetReflection();
  if (!field.is_repeated()) {
    copy_into(reflection.GetMessage(from, &field), *reflection.MutableMessage(&to, &field));
    return;
  }
  const int count = reflection.FieldSize(from, &field);
  for (int i = 0; i < count; ++i)
    copy_into(reflection.GetRepeatedMessage(from, &field, i), *reflection.AddMessage(&to, &field));
}

}  // namespace m3
