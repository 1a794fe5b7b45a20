// SPDX-License-Identifier: BSL-1.0
#include "apps/m3ctl/json.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/text_format.h>

#include <memory>
#include <string>

#include "apps/m3ctl/reflected_schema.h"
#include "m3/testing/catch.h"

namespace {

using google::protobuf::Message;

/// A tree of nodes with a field of each kind that is hard to write or to show.
constexpr const char* kFile = R"(
  name: "tree.proto" package: "tree" syntax: "proto2"
  dependency: "google/protobuf/timestamp.proto" dependency: "google/protobuf/struct.proto"
  message_type {
    name: "Node"
    field { name: "child" number: 1 type: TYPE_MESSAGE type_name: ".tree.Node" label: LABEL_OPTIONAL }
    field { name: "text" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "ratio" number: 3 type: TYPE_DOUBLE label: LABEL_OPTIONAL }
    field { name: "at" number: 4 type: TYPE_MESSAGE type_name: ".google.protobuf.Timestamp" label: LABEL_OPTIONAL }
    field { name: "any_value" number: 5 type: TYPE_MESSAGE type_name: ".google.protobuf.Value" label: LABEL_OPTIONAL }
    field { name: "count" number: 6 type: TYPE_INT32 label: LABEL_OPTIONAL }
    field { name: "list" number: 7 type: TYPE_MESSAGE type_name: ".tree.Node" label: LABEL_REPEATED }
  })";

const m3ctl::ReflectedSchema& schema() {
  static const auto made = [] {
    m3::admin::DescribeRsp described;
    described.set_app_id("dev.world1.tree.1");
    for (const char* file : {"google/protobuf/timestamp.proto", "google/protobuf/struct.proto"})
      google::protobuf::DescriptorPool::generated_pool()->FindFileByName(file)->CopyTo(
          described.mutable_files()->add_file());
    REQUIRE(google::protobuf::TextFormat::ParseFromString(kFile,
                                                          described.mutable_files()->add_file()));
    return m3ctl::ReflectedSchema::make(std::move(described));
  }();
  REQUIRE(made.is_ok());
  return **made;
}

std::unique_ptr<Message> node() { return schema().message("tree.Node"); }

m3::Status read(const std::string& json) { return m3ctl::read_json(json, *node()); }

std::string repeated(const std::string& text, std::size_t times) {
  std::string out;
  out.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

std::string nested(std::size_t depth) {
  return repeated(R"({"child":)", depth - 1) + "{}" + repeated("}", depth - 1);
}

bool says(const m3::Status& status, const std::string& words) {
  INFO(status.to_string());
  const bool found = status.text().find(words) != std::string::npos;
  CHECK(found);
  return status == m3::Errc::invalid_argument && found;
}

}  // namespace

TEST_CASE("m3ctl json: a number that no double can hold is pointed at") {
  CHECK(says(read(R"({"ratio": 1e400})"), "line 1, column 11: "));
  CHECK(says(read(R"({"count": -1e999})"), "line 1, column 11: "));
  CHECK(says(read(R"({"child": {"any_value": [1, 1e400]}})"), "1e400"));
  CHECK(says(read("1e400"), "1e400"));
}

TEST_CASE("m3ctl json: a number in quotes that no double can hold is refused") {
  CHECK_FALSE(read(R"({"ratio": "1e400"})").is_ok());
  CHECK_FALSE(read(R"({"count": "99999999999"})").is_ok());
  CHECK(read(R"({"ratio": "Infinity"})").is_ok());
}

TEST_CASE("m3ctl json: nesting is bounded, and the error has the place") {
  CHECK(read(nested(64)).is_ok());
  CHECK(says(read(nested(101)), "nested more than 100 deep"));
  CHECK(says(read(nested(200'000)), "nested more than 100 deep"));
  CHECK(says(read(repeated("[", 200'000)), "nested more than 100 deep"));
  CHECK(says(read(R"({"any_value":)" + repeated("[", 200'000) + repeated("]", 200'000) + "}"),
             "100 deep"));
  CHECK(says(read(R"({"list":)" + repeated("[{\"list\":", 200'000)), "100 deep"));
  CHECK(read(R"({"text": ")" + repeated("[{", 500) + R"(\" [["})").is_ok());
}

TEST_CASE("m3ctl json: an answer that JSON can show is shown as it was read") {
  const auto message = node();
  REQUIRE(m3ctl::read_json(R"({"text": "ä", "at": "2026-11-30T00:00:00Z"})", *message).is_ok());
  const auto text = m3ctl::write_json(*message, false);
  REQUIRE(text.is_ok());
  CHECK(text->find(R"("text":"ä")") != std::string::npos);
}

TEST_CASE("m3ctl json: an answer that JSON cannot show is an error with its reason") {
  const auto broken = [](const char* text) {
    const auto message = node();
    REQUIRE(google::protobuf::TextFormat::ParseFromString(text, message.get()));
    return m3ctl::write_json(*message, true).status();
  };
  CHECK(broken(R"(child { text: "a\377b" })") == m3::Errc::data_loss);
  CHECK(broken(R"(list { } list { text: "\303" })").text().find("list[1].text") !=
        std::string::npos);
  CHECK(broken("at { seconds: 999999999999999 }") == m3::Errc::data_loss);
}
