// SPDX-License-Identifier: BSL-1.0
#include "m3/data/record.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace m3 {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::UnknownFieldSet;
using Numbers = std::vector<std::uint32_t>;

const FieldDescriptor* field_at(const Message& entity, std::uint32_t number) {
  return entity.GetDescriptor()->FindFieldByNumber(static_cast<int>(number));
}

/// The bytes of one field. It is moved into `scratch`, which is empty, and back: nothing is copied.
std::string bytes_of(Message& entity, Message& scratch, const FieldDescriptor& field) {
  const Reflection& reflection = *entity.GetReflection();
  reflection.SwapFields(&entity, &scratch, {&field});
  std::string bytes = scratch.SerializeAsString();
  reflection.SwapFields(&entity, &scratch, {&field});
  return bytes;
}

void clear(Message& entity, std::uint32_t number) {
  const Reflection& reflection = *entity.GetReflection();
  if (const FieldDescriptor* field = field_at(entity, number)) {
    reflection.ClearField(&entity, field);
    return;
  }
  UnknownFieldSet* unknown = reflection.MutableUnknownFields(&entity);
  unknown->DeleteByNumber(static_cast<int>(number));
}

}  // namespace

RecordBase::RecordBase(const TableMeta& meta, std::string key)
    : meta_(&meta),
      key_(std::move(key)),
      entity_(meta.prototype->New()),
      scratch_(meta.prototype->New()) {
  key_status_ = set_key(meta, *entity_, key_);
}

void RecordBase::mark_dirty(std::uint32_t number) {
  const FieldDescriptor* field = field_at(*entity_, number);
  const auto* oneof = field ? field->real_containing_oneof() : nullptr;
  if (!oneof) return mark_one(number);
  // To set one of them is to clear the others.
  for (int i = 0; i < oneof->field_count(); ++i)
    mark_one(static_cast<std::uint32_t>(oneof->field(i)->number()));
}

void RecordBase::mark_one(std::uint32_t number) {
  const auto at = std::lower_bound(dirty_.begin(), dirty_.end(), number);
  if (at == dirty_.end() || *at != number) dirty_.insert(at, number);
}

void RecordBase::clean(const Numbers& numbers) {
  Numbers rest;
  std::set_difference(dirty_.begin(), dirty_.end(), numbers.begin(), numbers.end(),
                      std::back_inserter(rest));
  dirty_ = std::move(rest);
}

void RecordBase::mark_all() {
  dirty_.clear();
  for (const StoredField& field : all_bytes()) dirty_.push_back(field.number);
}

/// The dirty fields that a write has taken. They are dirty again unless it ends well.
class RecordBase::Taken {
 public:
  explicit Taken(RecordBase& record)
      : record_(record), numbers_(std::exchange(record.dirty_, {})) {}
  Taken(const Taken&) = delete;
  Taken& operator=(const Taken&) = delete;
  ~Taken() {
    for (const std::uint32_t number : numbers_) record_.mark_dirty(number);
  }
  void stored() noexcept { numbers_.clear(); }

 private:
  RecordBase& record_;
  Numbers numbers_;
};

StoredFields RecordBase::dirty_bytes() {
  StoredFields fields;
  for (const std::uint32_t number : dirty_) {
    const FieldDescriptor* field = field_at(*entity_, number);
    if (!field) continue;
    // protobuf swaps a oneof as a whole, whichever of its fields is named.
    const bool is_other =
        field->real_containing_oneof() && !entity_->GetReflection()->HasField(*entity_, field);
    fields.push_back({number, is_other ? "" : bytes_of(*entity_, *scratch_, *field)});
  }
  return fields;
}

StoredFields RecordBase::all_bytes() const {
  StoredFields fields;
  (void)split(entity_->SerializeAsString(), fields);  // protobuf has just written it
  return fields;
}

Status RecordBase::take(const Database::Row& row, const Numbers& wanted) {
  std::unique_ptr<Message> fresh(meta_->prototype->New());
  if (!fresh->ParseFromString(join(row.fields)))
    return Status(Errc::data_loss, "the row of " + meta_->table + " '" + key_ +
                                       "' is not a message of type " + meta_->name);
  if (wanted.empty()) {
    entity_ = std::move(fresh);
    dirty_.clear();
    version_ = row.head.version;
  } else {
    for (const std::uint32_t number : wanted) clear(*entity_, number);
    entity_->MergeFrom(*fresh);
    Numbers sorted = wanted;
    std::sort(sorted.begin(), sorted.end());
    clean(sorted);
    // What was read before is as old as it was.
    if (version_ == 0) version_ = row.head.version;
  }
  return set_key(*meta_, *entity_, key_);
}

Task<> RecordBase::read(Ctx& ctx, Database& database, Numbers fields) {
  if (!key_status_) co_return key_status_;
  const Database::Row row = co_await database.read(ctx, meta_->table, key_, fields);
  co_return take(row, fields);
}

Task<> RecordBase::create(Ctx& ctx, Database& database) {
  if (!key_status_) co_return key_status_;
  Taken taken(*this);
  version_ = co_await database.create(ctx, meta_->table, key_, all_bytes());
  taken.stored();
  co_return ok;
}

Task<> RecordBase::update(Ctx& ctx, Database& database) {
  return update_at(ctx, database, std::nullopt);
}

Task<> RecordBase::update_unchanged(Ctx& ctx, Database& database) {
  return update_at(ctx, database, version_);
}

Task<> RecordBase::update_at(Ctx& ctx, Database& database, std::optional<std::uint64_t> version) {
  if (!key_status_) co_return key_status_;
  if (dirty_.empty()) co_return ok;
  StoredFields fields = dirty_bytes();
  Taken taken(*this);
  const std::uint64_t written =
      co_await database.update(ctx, meta_->table, key_, std::move(fields), version);
  // Others have written in between: what was read is older than this write.
  if (written == version_ + 1) version_ = written;
  taken.stored();
  co_return ok;
}

Task<> RecordBase::erase(Ctx& ctx, Database& database) {
  if (!key_status_) co_return key_status_;
  co_await database.erase(ctx, meta_->table, key_);
  version_ = 0;
  mark_all();
  co_return ok;
}

const FieldDescriptor& RecordBase::field_of(const Descriptor& type) const {
  const Descriptor& own = *entity_->GetDescriptor();
  const FieldDescriptor* found = nullptr;
  for (int i = 0; i < own.field_count(); ++i) {
    const FieldDescriptor& field = *own.field(i);
    if (field.is_repeated() || field.message_type() != &type) continue;
    if (found)
      throw std::logic_error(meta_->name + " has several fields of type " +
                             std::string(type.full_name()) + ": use edit(NUMBER)");
    found = &field;
  }
  if (!found)
    throw std::logic_error(meta_->name + " has no field of type " + std::string(type.full_name()));
  return *found;
}

bool data_detail::has_value(const Message& entity, const FieldDescriptor& field,
                            const Message& value) {
  const Reflection& reflection = *entity.GetReflection();
  return reflection.HasField(entity, &field) && google::protobuf::util::MessageDifferencer::Equals(
                                                    reflection.GetMessage(entity, &field), value);
}

std::uint32_t data_detail::number_of(const FieldDescriptor& field) {
  return static_cast<std::uint32_t>(field.number());
}

}  // namespace m3
