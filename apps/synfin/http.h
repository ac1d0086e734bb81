// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1.1 on Synfin's sockets: Boost.Beast reads and writes the messages, this decides what they say.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "files.h"
#include "synfin/socket/socket.h"

namespace synfin::app {

/// What a server answers with.
struct HttpService {
  /// Files from here; without one, `page` gives the answer to `/`.
  const ServedDirectory* directory = nullptr;
  std::function<std::string(const tcp::socket&)> page;
  /// Takes bodies (PUT, POST) and answers how many octets they had and their SHA-256.
  bool sink = false;
  /// Says `Connection: close` in every answer, so that this end closes first.
  bool close_first = false;
};

/// Counts over all sessions of a server.
struct HttpTotals {
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;
};

/// The first and the number of octets of a `Range: bytes=…` header with one range; none where the header is
/// to be ignored (RFC 9110 §14.2).
struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};
enum class RangeVerdict {
  kWhole,
  kPart,
  kUnsatisfiable
};
RangeVerdict parse_range(std::string_view header, std::uint64_t size, ByteRange& range);

/// Requests of one connection, one after the other, until either end has had enough.
class HttpSession {
 public:
  HttpSession(tcp::socket& socket, const HttpService& service, HttpTotals& totals);
  boost::asio::awaitable<void> run();
  /// No request after the present one.
  void finish() { finishing_ = true; }

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;
  using Response = boost::beast::http::response<boost::beast::http::empty_body>;

  /// What a body was, whose octets have been thrown away.
  struct Body {
    bool whole = false;
    std::uint64_t octets = 0;
    std::string sha256;
  };

  boost::asio::awaitable<bool> one_request();
  boost::asio::awaitable<Body> read_body(Parser& parser, std::uint64_t limit, bool hash);
  boost::asio::awaitable<bool> answer_sink(Parser& parser);
  boost::asio::awaitable<bool> answer_get();
  boost::asio::awaitable<bool> answer_file(const OpenFile& file, std::string_view name);
  boost::asio::awaitable<bool> send_text(boost::beast::http::status status, std::string_view type,
                                         std::string text);
  boost::asio::awaitable<bool> send_error(boost::beast::http::status status, std::string_view why);
  boost::asio::awaitable<bool> send_head(Response& response);
  boost::asio::awaitable<bool> send_octets(const OpenFile& file, ByteRange range);
  Response response(boost::beast::http::status status) const;

  tcp::socket& socket_;
  const HttpService& service_;
  HttpTotals& totals_;
  boost::asio::steady_timer idle_;
  /// Gone once the session is: a timer's handler may come later.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  boost::beast::flat_buffer buffer_;
  std::vector<char> chunk_;
  // Of the present request.
  boost::beast::http::request<boost::beast::http::empty_body> request_;
  bool head_ = false;
  bool keep_alive_ = false;
  bool finishing_ = false;
};

}  // namespace synfin::app
