// SPDX-License-Identifier: Apache-2.0
#include "http.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/write.hpp>
#include <charconv>
#include <chrono>
#include <limits>

namespace synfin::app {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
/// A connection on which nothing arrives this long is closed.
constexpr std::chrono::seconds kIdle{75};
constexpr std::size_t kChunk = 256 * 1024;
/// Bodies of requests that should have none are read this far, so that the answer is not lost in a reset.
constexpr std::uint64_t kUnwantedBody = 1 << 20;

bool parse_number(std::string_view text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

}  // namespace

RangeVerdict parse_range(std::string_view header, std::uint64_t size, ByteRange& range) {
  range = {0, size};
  constexpr std::string_view kUnit = "bytes=";
  if (!header.starts_with(kUnit) || header.find(',') != std::string_view::npos) return RangeVerdict::kWhole;
  header.remove_prefix(kUnit.size());
  const std::size_t dash = header.find('-');
  if (dash == std::string_view::npos) return RangeVerdict::kWhole;
  const std::string_view from = header.substr(0, dash), to = header.substr(dash + 1);
  std::uint64_t first = 0, last = std::numeric_limits<std::uint64_t>::max();
  if (from.empty()) {  // the last so many octets
    std::uint64_t count = 0;
    if (!parse_number(to, count)) return RangeVerdict::kWhole;
    if (count == 0 || size == 0) return RangeVerdict::kUnsatisfiable;
    range = {size - std::min(count, size), std::min(count, size)};
    return RangeVerdict::kPart;
  }
  if (!parse_number(from, first) || (!to.empty() && !parse_number(to, last)) || last < first)
    return RangeVerdict::kWhole;
  if (first >= size) return RangeVerdict::kUnsatisfiable;
  range = {first, std::min(last, size - 1) - first + 1};
  return RangeVerdict::kPart;
}

HttpSession::HttpSession(tcp::socket& socket, const HttpService& service, HttpTotals& totals)
    : socket_(socket), service_(service), totals_(totals), idle_(socket.get_executor()) {}

asio::awaitable<void> HttpSession::run() {
  while (!finishing_ && co_await one_request()) {
  }
  idle_.cancel();
  boost::system::error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

/// Whether the connection goes on.
asio::awaitable<bool> HttpSession::one_request() {
  Parser parser;
  parser.body_limit(boost::none);
  idle_.expires_after(kIdle);
  idle_.async_wait([this, alive = std::weak_ptr<bool>(alive_)](const boost::system::error_code& error) {
    if (!error && !alive.expired()) socket_.cancel();
  });
  const auto [error, octets] = co_await http::async_read_header(socket_, buffer_, parser, kNoThrow);
  idle_.cancel();
  if (error) {
    const bool malformed = error.category() == make_error_code(http::error::bad_method).category() &&
                           error != http::error::end_of_stream && error != http::error::partial_message;
    if (!malformed) co_return false;
    request_ = {};
    head_ = keep_alive_ = false;
    co_await send_error(http::status::bad_request, error.message());
    co_return false;
  }
  ++totals_.requests;
  request_ = {};
  request_.base() = parser.get().base();
  head_ = request_.method() == http::verb::head;
  keep_alive_ = parser.get().keep_alive() && !service_.close_first && !finishing_;

  const bool upload = request_.method() == http::verb::put || request_.method() == http::verb::post;
  if (service_.sink && upload) co_return co_await answer_sink(parser);
  if (!parser.is_done()) {
    const Body body = co_await read_body(parser, kUnwantedBody, false);
    if (!body.whole) {
      keep_alive_ = false;
      co_return co_await send_error(http::status::payload_too_large, "this request should not have a body");
    }
  }
  if (request_.method() != http::verb::get && !head_) {
    co_return co_await send_error(
        http::status::method_not_allowed,
        service_.sink ? "GET, HEAD, PUT and POST are served here" : "only GET and HEAD are served here");
  }
  co_return co_await answer_get();
}

asio::awaitable<HttpSession::Body> HttpSession::read_body(Parser& parser, std::uint64_t limit, bool hash) {
  Body result;
  chunk_.resize(kChunk);
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  while (!parser.is_done()) {
    parser.get().body().data = chunk_.data();
    parser.get().body().size = chunk_.size();
    const auto [error, octets] = co_await http::async_read_some(socket_, buffer_, parser, kNoThrow);
    if (error && error != http::error::need_buffer) co_return result;
    const std::size_t got = chunk_.size() - parser.get().body().size;
    result.octets += got;
    if (hash) crypto_hash_sha256_update(&state, reinterpret_cast<const unsigned char*>(chunk_.data()), got);
    if (result.octets > limit) co_return result;
  }
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest{};
  crypto_hash_sha256_final(&state, digest.data());
  for (const unsigned char octet : digest) result.sha256 += fmt::format("{:02x}", octet);
  result.whole = true;
  co_return result;
}

asio::awaitable<bool> HttpSession::answer_sink(Parser& parser) {
  if (boost::beast::iequals(request_[http::field::expect], "100-continue")) {
    Response go_on{http::status::continue_, request_.version()};
    http::response_serializer<http::empty_body> serializer{go_on};
    const auto [error, octets] = co_await http::async_write_header(socket_, serializer, kNoThrow);
    if (error) co_return false;
  }
  const Body body = co_await read_body(parser, std::numeric_limits<std::uint64_t>::max(), true);
  if (!body.whole) co_return false;
  co_return co_await send_text(http::status::ok, "text/plain; charset=utf-8",
                               fmt::format("{} octets sha256 {}\n", body.octets, body.sha256));
}

asio::awaitable<bool> HttpSession::answer_get() {
  const std::string_view target{request_.target().data(), request_.target().size()};
  const std::optional<std::string> path = path_of_target(target);
  if (!path)
    co_return co_await send_error(http::status::bad_request, "the target of the request cannot be read");
  if (service_.directory == nullptr) {
    if (*path != "/" || !service_.page)
      co_return co_await send_error(http::status::not_found, "there is no such page");
    co_return co_await send_text(http::status::ok, "text/plain; charset=utf-8", service_.page(socket_));
  }
  std::optional<OpenFile> file = service_.directory->find(*path);
  if (file && file->is_directory) {
    if (!path->ends_with('/')) {
      Response moved = response(http::status::moved_permanently);
      // Relative, so that it stays on this host whatever the target was.
      const std::string_view whole = target.substr(0, target.find_first_of("?#"));
      moved.set(http::field::location, fmt::format("./{}/", whole.substr(whole.rfind('/') + 1)));
      moved.content_length(0);
      co_return co_await send_head(moved) && keep_alive_;
    }
    std::optional<OpenFile> index = service_.directory->find(*path + "index.html");
    if (!index || index->is_directory) {
      co_return co_await send_text(http::status::ok, "text/html; charset=utf-8", listing(*file, *path));
    }
    co_return co_await answer_file(*index, "index.html");
  }
  if (!file || path->ends_with('/'))
    co_return co_await send_error(http::status::not_found, "there is no such file");
  co_return co_await answer_file(*file, *path);
}

asio::awaitable<bool> HttpSession::answer_file(const OpenFile& file, std::string_view name) {
  ByteRange range;
  const auto field = request_[http::field::range];
  const RangeVerdict verdict = parse_range({field.data(), field.size()}, file.size, range);
  if (verdict == RangeVerdict::kUnsatisfiable) {
    Response refusal = response(http::status::range_not_satisfiable);
    refusal.set(http::field::content_range, fmt::format("bytes */{}", file.size));
    refusal.content_length(0);
    ++totals_.errors;
    co_return co_await send_head(refusal) && keep_alive_;
  }
  Response head = response(verdict == RangeVerdict::kPart ? http::status::partial_content : http::status::ok);
  const std::string_view type = content_type(name);
  head.set(http::field::content_type, boost::beast::string_view{type.data(), type.size()});
  head.set(http::field::accept_ranges, "bytes");
  if (verdict == RangeVerdict::kPart) {
    head.set(http::field::content_range,
             fmt::format("bytes {}-{}/{}", range.first, range.first + range.count - 1, file.size));
  }
  head.content_length(range.count);
  if (!co_await send_head(head)) co_return false;
  if (!head_ && !co_await send_octets(file, range)) co_return false;
  co_return keep_alive_;
}

asio::awaitable<bool> HttpSession::send_octets(const OpenFile& file, ByteRange range) {
  chunk_.resize(kChunk);
  while (range.count > 0) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(range.count, chunk_.size()));
    const ssize_t got = file.read({chunk_.data(), wanted}, range.first);
    if (got <= 0) {
      // The file shrank. The length that was announced cannot be kept, and only a reset says so.
      socket_.abort();
      co_return false;
    }
    const auto n = static_cast<std::size_t>(got);
    const auto [error, octets] =
        co_await asio::async_write(socket_, asio::buffer(chunk_.data(), n), kNoThrow);
    if (error) co_return false;
    range.first += n;
    range.count -= n;
  }
  co_return true;
}

HttpSession::Response HttpSession::response(http::status status) const {
  Response r{status, 11};
  r.set(http::field::server, "Synfin");
  r.keep_alive(keep_alive_);
  return r;
}

asio::awaitable<bool> HttpSession::send_head(Response& head) {
  http::response_serializer<http::empty_body> serializer{head};
  const auto [error, octets] = co_await http::async_write_header(socket_, serializer, kNoThrow);
  co_return !error;
}

asio::awaitable<bool> HttpSession::send_text(http::status status, std::string_view type, std::string text) {
  Response head = response(status);
  head.set(http::field::content_type, boost::beast::string_view{type.data(), type.size()});
  head.content_length(text.size());
  // One write, and so one segment where it fits.
  std::string message = fmt::format("HTTP/1.1 {} {}\r\n", head.result_int(),
                                    std::string_view{head.reason().data(), head.reason().size()});
  for (const auto& field : head) {
    message.append(field.name_string().data(), field.name_string().size()).append(": ");
    message.append(field.value().data(), field.value().size()).append("\r\n");
  }
  message += "\r\n";
  if (!head_) message += text;
  const auto [error, octets] = co_await asio::async_write(socket_, asio::buffer(message), kNoThrow);
  co_return !error && keep_alive_;
}

asio::awaitable<bool> HttpSession::send_error(http::status status, std::string_view why) {
  ++totals_.errors;
  co_return co_await send_text(status, "text/plain; charset=utf-8", fmt::format("{}\n", why));
}

}  // namespace synfin::app
