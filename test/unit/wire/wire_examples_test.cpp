// SPDX-License-Identifier: BSL-1.0
// The bytes in docs/reference/wire.md are what the code writes.
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "m3/base/method_hash.h"
#include "m3/testing/catch.h"
#include "m3/wire/goaway.h"
#include "m3/wire/hello.h"
#include "m3/wire/metadata_codec.h"

namespace m3 {
namespace {

/// Name -> hex digits of every block in the page that begins with ```hex.
std::map<std::string, std::string> blocks_of(const std::string& path) {
  std::ifstream in(path);
  REQUIRE(in);
  std::map<std::string, std::string> blocks;
  std::string line;
  std::string name;
  bool inside = false;
  while (std::getline(in, line)) {
    if (line.rfind("```", 0) == 0) {
      inside = line == "```hex";
      name.clear();
    } else if (inside && name.empty()) {
      name = line.substr(2);
    } else if (inside) {
      for (char c : line.substr(0, line.find('#'))) {
        if (c != ' ') blocks[name] += c;
      }
    }
  }
  return blocks;
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

std::string frame(FrameHeader header, std::string_view metadata, std::string_view body) {
  std::string bytes(kFrameHeaderSize, '\0');
  write_header(bytes.data(), header, metadata.size(), body.size());
  return bytes.append(metadata).append(body);
}

FrameHeader header_of(FrameKind kind, std::uint32_t deadline, std::uint64_t call_id) {
  FrameHeader header;
  header.kind = kind;
  header.deadline = deadline;
  header.call_id = call_id;
  return header;
}

HelloConfig config_of(std::string app_id, std::uint64_t generation, std::uint8_t first) {
  HelloConfig config;
  config.app_id = std::move(app_id);
  config.generation = generation;
  config.run_id = 0x0123456789abcde0 + generation;
  config.token = "s3cret";
  config.nonce = [first] {
    Nonce nonce;
    for (std::size_t i = 0; i < nonce.size(); ++i) nonce[i] = static_cast<std::uint8_t>(first + i);
    return nonce;
  };
  return config;
}

void add_hellos(std::map<std::string, std::string>& out) {
  HelloConfig server = config_of("dev.world1.hello.1", 2, 0x10);
  MethodName say;
  say.name = "/hello.Hello/Say";
  say.hash = method_hash(say.name);
  server.methods = encode_methods({say});
  HelloConfig client = config_of("dev.world1.client.1", 1, 0);
  client.dialled = server.app_id;
  Handshake dialer = Handshake::dial(client);
  Handshake acceptor = Handshake::accept(server);
  const auto feed = [](Handshake& to, const std::string& bytes) {
    FrameReader reader(bytes, to.frame_limits());
    Frame one;
    REQUIRE(reader.next(one));
    return to.on_frame(one).send;
  };
  out["hello-1"] = dialer.start().send;
  out["hello-2"] = feed(acceptor, out["hello-1"]);
  out["hello-3"] = feed(dialer, out["hello-2"]);
  out["hello-4"] = feed(acceptor, out["hello-3"]);
  feed(dialer, out["hello-4"]);
  REQUIRE(dialer.state() == Handshake::State::done);
}

std::string error_frame() {
  Metadata metadata;
  metadata.status = MetadataStatus::from(Status(Errc::invalid_argument, "name is empty"));
  std::string bytes(encoded_metadata_size(metadata), '\0');
  encode_metadata(metadata, bytes.data());
  return frame(header_of(FrameKind::response, 0, 2), bytes, "");
}

std::map<std::string, std::string> written_by_the_code() {
  std::map<std::string, std::string> out;
  add_hellos(out);
  FrameHeader request = header_of(FrameKind::request, 1500, 1);
  request.method = method_hash("/hello.Hello/Say");
  out["request"] = frame(request, "",
                         "\x0a\x03"
                         "ann");
  out["response"] = frame(header_of(FrameKind::response, 0, 1), "", "\x0a\x0ahello, ann");
  out["error"] = error_frame();
  out["cancel"] = frame(header_of(FrameKind::cancel, 0, 1), "", "");
  out["ping"] = frame(header_of(FrameKind::ping, 900, 5), "", "");
  out["pong"] = frame(header_of(FrameKind::pong, 900, 5), "", "");
  out["goaway"] = encode_goaway(Status(Errc::unauthenticated, "no"), false);
  return out;
}

TEST_CASE("wire: every example in wire.md matches the code") {
  const auto documented = blocks_of(std::string(M3_SOURCE_DIR) + "/docs/reference/wire.md");
  const auto written = written_by_the_code();
  CHECK(documented.size() == written.size());
  for (const auto& [name, bytes] : written) {
    CAPTURE(name);
    REQUIRE(documented.count(name) == 1);
    CHECK(documented.at(name) == hex(bytes));
  }
}

}  // namespace
}  // namespace m3
