// SPDX-License-Identifier: BSL-1.0
#include "m3/http/http_message.h"

#include "m3/testing/catch.h"

namespace m3 {
namespace {

TEST_CASE("http: header names have no case, and set replaces all of a name") {
  HttpHeaders headers;
  headers.add("X-Consul-Index", "7");
  headers.add("x-consul-index", "8");
  headers.add("Via", "a");
  CHECK(headers.get("X-CONSUL-INDEX") == "7");
  CHECK(headers.size() == 3);
  headers.set("X-consul-Index", "9");
  CHECK(headers.size() == 2);
  CHECK(headers.get("x-consul-index") == "9");
  CHECK(headers.has("via"));
  headers.remove("VIA");
  CHECK_FALSE(headers.has("via"));
  CHECK(headers.get("via").empty());
}

TEST_CASE("http: no header value begins another header") {
  HttpHeaders headers;
  headers.add("Location", "/a\r\nSet-Cookie: b");
  CHECK(headers.get("Location") == "/a  Set-Cookie: b");
}

TEST_CASE("http: a target is split and decoded") {
  std::string path;
  HttpQuery query;
  REQUIRE(parse_target("/a%20b/c+d?x=1&y=a+b%26&&z&x=2#part", path, query));
  CHECK(path == "/a b/c+d");
  CHECK(query == HttpQuery{{"x", "1"}, {"y", "a b&"}, {"z", ""}, {"x", "2"}});
  REQUIRE(parse_target("/?", path, query));
  CHECK(path == "/");
  CHECK(query.empty());
  for (const char* wrong :
       {"", "a", "*", "/%", "/%2", "/%zz", "/a?b=%f", "/%00", "/%0d%0a", "/\x7f"})
    CHECK(parse_target(wrong, path, query) == Errc::invalid_argument);
}

TEST_CASE("http: a request writes the target that it was read from") {
  HttpRequest request("GET", "/v1/kv/a b/%");
  request.query = {{"wait", "5s"}, {"stale", ""}, {"filter", "a == \"b\" & c"}};
  CHECK(request.target() == "/v1/kv/a%20b/%25?wait=5s&stale&filter=a%20%3D%3D%20%22b%22%20%26%20c");
  HttpRequest back;
  REQUIRE(parse_target(request.target(), back.path, back.query));
  CHECK(back.path == request.path);
  CHECK(back.query == request.query);
  REQUIRE(back.param("wait"));
  CHECK(*back.param("wait") == "5s");
  CHECK_FALSE(back.param("Wait"));
  for (const char* odd : {"/a?x=1&=", "/a?=&=b", "/?&&", "/a?=="}) {
    REQUIRE(parse_target(odd, request.path, request.query));
    REQUIRE(parse_target(request.target(), back.path, back.query));
    CHECK(back.path == request.path);
    CHECK(back.query == request.query);
  }
}

TEST_CASE("http: an error shows its text, but not internal details") {
  CHECK(http_error(Status(Errc::unavailable, "starting")).status == 503);
  CHECK(http_error(Status(Errc::unavailable, "starting")).body == "starting\n");
  CHECK(http_error(Status(Errc::internal, "secret")).status == 500);
  CHECK(http_error(Status(Errc::internal, "secret")).body == "Internal Server Error\n");
  for (int code = 1; code <= 17; ++code) {
    const int status = http_status(errc_from_number(static_cast<std::uint32_t>(code)));
    CHECK(status >= 400);
    CHECK_FALSE(http_reason(status).empty());
  }
}

TEST_CASE("http: only the right bearer token is one") {
  HttpRequest request("GET");
  CHECK_FALSE(has_bearer_token(request, "secret"));
  request.headers.set("authorization", "Bearer secret");
  CHECK(has_bearer_token(request, "secret"));
  CHECK_FALSE(has_bearer_token(request, "secreT"));
  CHECK_FALSE(has_bearer_token(request, "secret1"));
  CHECK_FALSE(has_bearer_token(request, ""));
  request.headers.set("authorization", "bearer secret");
  CHECK(has_bearer_token(request, "secret"));
  request.headers.set("authorization", "Basic secret");
  CHECK_FALSE(has_bearer_token(request, "secret"));
  request.headers.set("authorization", "Bearer");
  CHECK_FALSE(has_bearer_token(request, ""));
}

}  // namespace
}  // namespace m3
