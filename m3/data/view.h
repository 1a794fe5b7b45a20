// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <unordered_map>

namespace m3 {

/// What others may see of an entity: a copy with the fields that the view shows, as the .proto
/// says: `string role_id = 1 [(m3.view) = { show: "public" }];`. A field that the view hides is
/// left out; one that it shows is copied, except what it hides inside; of any other message field
/// (also in lists and maps) what is shown in it is copied; everything else is left out. So a view
/// that no field names shows nothing. m3game's viewfield_option is read too: wflag names views that
/// show, bflag views that hide.
///
/// Made once per type and view, then a constant: any core.
class View {
 public:
  View(const google::protobuf::Descriptor& type, std::string name);

  const std::string& name() const noexcept { return name_; }
  /// False: no entity has anything in this view.
  bool shows_anything() const;
  /// `entity` has the type the view was made for; else the copy is empty.
  std::unique_ptr<google::protobuf::Message> of(const google::protobuf::Message& entity) const;
  template <class T>
  T of(const T& entity) const {
    T copy;
    if (T::descriptor() == &type_) copy_into(entity, copy, false);
    return copy;
  }

 private:
  enum class Share { none, part, whole };
  /// What is known of a message type that an entity may have in it.
  struct TypeFacts {
    bool shows = false;  ///< the view shows something of it
    bool hides = false;  ///< the view hides something in it
  };
  using Field = google::protobuf::FieldDescriptor;

  Share own_share(const Field& field) const;
  TypeFacts facts_of(const Field& field) const;
  bool learn(const google::protobuf::Descriptor& type, TypeFacts& facts) const;
  void collect(const google::protobuf::Descriptor& type);
  void copy_into(const google::protobuf::Message& from, google::protobuf::Message& to,
                 bool whole) const;
  void copy_messages(const google::protobuf::Message& from, google::protobuf::Message& to,
                     const Field& field, bool whole) const;

  const google::protobuf::Descriptor& type_;
  const std::string name_;
  std::unordered_map<const google::protobuf::Descriptor*, TypeFacts> types_;
};

}  // namespace m3
