// SPDX-License-Identifier: BSL-1.0
#include "m3/http/http_codec.h"

#include "m3/testing/catch.h"

namespace m3 {
namespace {

using State = HttpRequestReader::State;

HttpSizes small() {
  HttpSizes sizes;
  sizes.max_header_bytes = 256;
  sizes.max_body_bytes = 16;
  return sizes;
}

/// Feeds `bytes` in pieces, as a connection does; gives what is left over.
std::string feed(HttpRequestReader& reader, std::string_view bytes, std::size_t step = SIZE_MAX) {
  std::string kept;
  while (!bytes.empty() && reader.state() == State::reading) {
    kept += bytes.substr(0, step);
    bytes.remove_prefix(std::min(step, bytes.size()));
    kept.erase(0, reader.feed(kept));
  }
  return kept.append(bytes);
}

int status_of(std::string_view bytes, HttpSizes sizes = small()) {
  int out = 0;
  for (const std::size_t step : {SIZE_MAX, std::size_t{1}, std::size_t{7}}) {
    HttpRequestReader reader(sizes);
    feed(reader, bytes, step);
    int status = reader.state() == State::complete ? 200 : 0;
    if (reader.state() == State::failed) status = reader.error().status;
    if (step == SIZE_MAX) out = status;
    INFO(bytes << " in pieces of " << step);
    CHECK(status == out);
  }
  return out;
}

TEST_CASE("http: a request is read, however its bytes are cut") {
  const std::string text =
      "POST /a%20b?x=1&x=2 HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\nx-more:  yes "
      "\r\n\r\nhello"
      "GET / HTTP/1.1\r\n";
  for (std::size_t step = 1; step < 40; ++step) {
    HttpRequestReader reader(small());
    const std::string rest = feed(reader, text, step);
    REQUIRE(reader.state() == State::complete);
    CHECK(rest == "GET / HTTP/1.1\r\n");
    CHECK(reader.keep_alive());
    CHECK(reader.version() == 11);
    const HttpRequest request = reader.take();
    CHECK(request.method == "POST");
    CHECK(request.path == "/a b");
    CHECK(request.query == HttpQuery{{"x", "1"}, {"x", "2"}});
    CHECK(request.headers.get("X-More") == "yes");
    CHECK(request.body == "hello");
  }
}

TEST_CASE("http: a chunked body is assembled, and its trailer changes no header") {
  HttpRequestReader reader(small());
  const std::string rest =
      feed(reader,
           "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
           "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nAuthorization: Bearer x\r\n\r\nrest",
           3);
  REQUIRE(reader.state() == State::complete);
  CHECK(rest == "rest");
  const HttpRequest request = reader.take();
  CHECK(request.body == "abcdefg");
  CHECK_FALSE(request.headers.has("Authorization"));
}

TEST_CASE("http: whether a connection stays open is the peer's choice") {
  const auto keeps = [](std::string_view text) {
    HttpRequestReader reader(small());
    feed(reader, text);
    REQUIRE(reader.state() == State::complete);
    return reader.keep_alive();
  };
  CHECK(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  CHECK_FALSE(keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  CHECK_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
  CHECK(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST_CASE("http: invalid and ambiguous requests are refused") {
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == 200);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\n") == 0);
  CHECK(status_of("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n") == 200);
  CHECK(status_of("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n") == 200);
  CHECK(status_of("\x16\x03\x01\x02\r\n\r\n") == 400);
  CHECK(status_of("GET  / HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
  CHECK(status_of("GET x HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
  CHECK(status_of("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/2.0\r\nHost: a\r\n\r\n") == 505);
  CHECK(status_of("GET / HTTP/1.1\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.1\r\nHost : a\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n") ==
        400);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
                  "chunked\r\n\r\n0\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n") == 501);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n") == 501);
  CHECK(status_of("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") == 400);
  CHECK(status_of("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx") == 400);
}

TEST_CASE("http: the sizes are kept before anything is allocated") {
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  CHECK(status_of(head + std::string(200, 'x') + "\r\n\r\n") == 200);
  CHECK(status_of(head + std::string(256, 'x') + "\r\n\r\n") == 431);
  CHECK(status_of(head + std::string(5000, 'x')) == 431);
  CHECK(status_of("GET /" + std::string(300, 'x')) == 431);
  const std::string put = "PUT / HTTP/1.1\r\nHost: a\r\n";
  CHECK(status_of(put + "Content-Length: 16\r\n\r\n" + std::string(16, 'x')) == 200);
  CHECK(status_of(put + "Content-Length: 17\r\n\r\n") == 413);
  CHECK(status_of(put + "Content-Length: 18446744073709551615\r\n\r\n") == 413);
  CHECK(status_of(put + "Content-Length: 18446744073709551616\r\n\r\n") == 400);
  const std::string chunked = put + "Transfer-Encoding: chunked\r\n\r\n";
  CHECK(status_of(chunked + "10\r\n0123456789abcdef\r\n0\r\n\r\n") == 200);
  CHECK(status_of(chunked + "11\r\nx") == 413);
  CHECK(status_of(chunked + "8\r\n01234567\r\n9\r\n") == 413);
  CHECK(status_of(chunked + "ffffffffffffffff\r\n") == 413);
  CHECK(status_of(chunked + "1;" + std::string(9000, 'x')) == 400);
  CHECK(status_of(chunked + "0\r\nX: " + std::string(9000, 'x')) == 400);
  // The end of its quotes is not looked for in what follows.
  CHECK(status_of(chunked + "1;a=\"b\\\"c\"\r\nx\r\n0\r\n\r\n") == 200);
  CHECK(status_of(chunked + "1;a=\"b\r\nx\r\n0\r\n\r\n") == 400);
  CHECK(status_of(chunked + "1\r\nx\r\n1;a=\"b\\\"\r\n") == 400);
}

TEST_CASE("http: a peer that waits to send its body gets one 100 Continue") {
  HttpRequestReader reader(small());
  feed(reader, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  CHECK(reader.wants_continue());
  CHECK_FALSE(reader.wants_continue());
  feed(reader, "ab");
  CHECK(reader.state() == State::complete);
  CHECK_FALSE(reader.wants_continue());
}

TEST_CASE("http: an answer has its length, and no other than that") {
  HttpResponse response(200, "hello");
  response.headers.add("Content-Length", "7");
  response.headers.add("transfer-encoding", "chunked");
  std::string text = encode_http_response(response, {});
  CHECK(text.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(text.ends_with("Content-Length: 5\r\n\r\nhello"));
  CHECK(text.find("Content-Length: 7") == std::string::npos);
  CHECK(text.find("chunked") == std::string::npos);
  CHECK(text.find("Connection") == std::string::npos);
  HttpAnswerTo to;
  to.head = true;
  to.keep_alive = false;
  text = encode_http_response(response, to);
  CHECK(text.ends_with("Content-Length: 5\r\nConnection: close\r\n\r\n"));
  to = {};
  to.version = 10;
  CHECK(encode_http_response(response, to).find("Connection: keep-alive\r\n") != std::string::npos);
  CHECK(encode_http_response(HttpResponse(204, "x"), {}).find("Length") == std::string::npos);
  CHECK(encode_http_response(HttpResponse(7), {}).starts_with("HTTP/1.1 500 "));
}

}  // namespace
}  // namespace m3
