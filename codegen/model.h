// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "codegen/diagnostics.h"
#include "m3/base/route_mode.h"

namespace google::protobuf {
class FileDescriptor;
}

namespace m3::codegen_detail {

/// How a message class is written in C++.
struct TypeName {
  std::string local;      // inside the generated namespace and classes: "SayReq", "::other::Req"
  std::string qualified;  // anywhere: "::hello::SayReq"
};

struct RpcModel {
  std::string name;       // "Say"
  std::string full_name;  // "/hello.Hello/Say"
  std::string method;     // "say"
  std::string constant;   // "kSay"
  std::string comment;    // as in the .proto; may be empty
  TypeName request;
  TypeName response;
  RouteMode route = RouteMode::random;
  std::string route_key;  // the accessor of the request's key field: "name"; empty = no key
  bool route_key_is_string = false;  // else an integer
  bool notify = false;
  bool client = false;
  bool trace = false;
  bool idempotent = false;
  bool sync = false;
  std::uint32_t timeout_ms = 0;  // 0 = not said
  bool owns_request = false;     // the one rpc of this file that takes a request type of this file
};

struct ServiceModel {
  std::string full_name;      // "hello.Hello"
  std::string service_class;  // "HelloService"
  std::string client_class;   // "HelloClient"
  std::string default_func;   // "hello"
  std::string placement;      // "stateless"
  std::string comment;
  std::vector<RpcModel> rpcs;
};

/// The data of one .proto file for the emitters. Everything in it has been checked: emitting cannot
/// fail.
struct FileModel {
  std::string proto;          // "game/hello.proto"
  std::string stem;           // "game/hello"
  std::string cpp_namespace;  // "hello"; empty without a package
  std::string root;  // "::" where the package hides one of the names m3, std, google; else empty
  std::vector<ServiceModel> services;
};

/// All errors in `file` are added to `errors`; the model is usable only if there are none.
FileModel build_model(const google::protobuf::FileDescriptor& file, Diagnostics& errors);

}  // namespace m3::codegen_detail
