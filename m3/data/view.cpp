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

void copy_scalar(const Message& from, Message& to, const FieldDescriptor& field) {
  const Reflection& r = *from.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return r.SetInt32(&to, &field, r.GetInt32(from, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return r.SetInt64(&to, &field, r.GetInt64(from, &field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return r.SetUInt32(&to, &field, r.GetUInt32(from, &field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return r.SetUInt64(&to, &field, r.GetUInt64(from, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return r.SetDouble(&to, &field, r.GetDouble(from, &field));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return r.SetFloat(&to, &field, r.GetFloat(from, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return r.SetBool(&to, &field, r.GetBool(from, &field));
    case FieldDescriptor::CPPTYPE_ENUM:
      return r.SetEnumValue(&to, &field, r.GetEnumValue(from, &field));
    case FieldDescriptor::CPPTYPE_STRING:
      return r.SetString(&to, &field, r.GetString(from, &field));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return;
  }
}

/// A list of scalars has no accessor that copies it whatever its type; the message around it has.
void copy_list(const Message& from, Message& to, const FieldDescriptor& field) {
  std::unique_ptr<Message> all(from.New());
  all->CopyFrom(from);
  from.GetReflection()->SwapFields(all.get(), &to, {&field});
}

}  // namespace

View::View(const Descriptor& type, std::string name) : type_(type), name_(std::move(name)) {
  collect(type_);
  // Types may contain each other: repeated until nothing is learnt any more.
  for (bool learnt = true; learnt;) {
    learnt = false;
    for (auto& [known, facts] : types_) learnt = learn(*known, facts) || learnt;
  }
}

void View::collect(const Descriptor& type) {
  std::vector<const Descriptor*> open{&type};
  while (!open.empty()) {
    const Descriptor* next = open.back();
    open.pop_back();
    if (!types_.emplace(next, TypeFacts()).second) continue;
    for (int i = 0; i < next->field_count(); ++i)
      if (const Descriptor* inner = next->field(i)->message_type()) open.push_back(inner);
  }
}

/// True: something new.
bool View::learn(const Descriptor& type, TypeFacts& facts) const {
  TypeFacts found = facts;
  for (int i = 0; i < type.field_count(); ++i) {
    const Field& field = *type.field(i);
    const Share own = own_share(field);
    const TypeFacts inside = own == Share::none ? TypeFacts() : facts_of(field);
    found.shows = found.shows || own == Share::whole || inside.shows;
    found.hides = found.hides || own == Share::none || inside.hides;
  }
  const bool is_new = found.shows != facts.shows || found.hides != facts.hides;
  facts = found;
  return is_new;
}

/// What the field's own options say; `part`: nothing.
View::Share View::own_share(const Field& field) const {
  const auto& options = field.options();
  const auto& ours = options.GetExtension(m3::view);
  const auto& theirs = options.GetExtension(::viewfield_option);
  if (has(ours.hide(), name_) || lists(theirs.bflag(), name_)) return Share::none;
  if (has(ours.show(), name_) || lists(theirs.wflag(), name_)) return Share::whole;
  return Share::part;
}

/// Of the message that the field has; nothing for other fields.
View::TypeFacts View::facts_of(const Field& field) const {
  const auto at = types_.find(field.message_type());
  return at == types_.end() ? TypeFacts() : at->second;
}

bool View::shows_anything() const { return types_.at(&type_).shows; }

std::unique_ptr<Message> View::of(const Message& entity) const {
  std::unique_ptr<Message> copy(entity.New());
  if (entity.GetDescriptor() == &type_) copy_into(entity, *copy, false);
  return copy;
}

/// `whole`: what no option names is shown; else it is not.
void View::copy_into(const Message& from, Message& to, bool whole) const {
  std::vector<const FieldDescriptor*> present;
  from.GetReflection()->ListFields(from, &present);
  // An entry of a map that is shown in part keeps its key: it says whose part it is.
  const bool is_entry = from.GetDescriptor()->options().map_entry();
  for (const FieldDescriptor* field : present) {
    const Share own = own_share(*field);
    if (own == Share::none) continue;
    const bool all = whole || own == Share::whole || (is_entry && field->number() == 1);
    if (field->message_type()) {
      if (all || facts_of(*field).shows) copy_messages(from, to, *field, all);
    } else if (all) {
      field->is_repeated() ? copy_list(from, to, *field) : copy_scalar(from, to, *field);
    }
  }
}

void View::copy_messages(const Message& from, Message& to, const Field& field, bool whole) const {
  const Reflection& reflection = *from.GetReflection();
  const bool as_it_is = whole && !facts_of(field).hides;
  const auto copy = [&](const Message& one, Message& into) {
    as_it_is ? into.CopyFrom(one) : copy_into(one, into, whole);
  };
  if (!field.is_repeated())
    return copy(reflection.GetMessage(from, &field), *reflection.MutableMessage(&to, &field));
  const int count = reflection.FieldSize(from, &field);
  for (int i = 0; i < count; ++i)
    copy(reflection.GetRepeatedMessage(from, &field, i), *reflection.AddMessage(&to, &field));
}

}  // namespace m3
