// SPDX-License-Identifier: Apache-2.0
//
// Two connections from SYN to FIN, drawn as they happen. In the first Synfin closes first and stays in
// TIME-WAIT; in the second the client half-closes, Synfin sends what is left, and the close takes its full
// four segments.
#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "child.h"
#include "failure.h"
#include "http.h"
#include "pages.h"
#include "synfin/link/lab.h"
#include "synfin/link/memory_link.h"
#include "synfin/socket/acceptor.h"
#include "synfin/view/ladder.h"
#include "synfin/view/text.h"
#include "verbs.h"
#include "views.h"

namespace synfin::app {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

/// For services of the demo: what goes wrong in one is seen by the client that waits for it.
constexpr auto kFailureShowsAtTheClient = [](const std::exception_ptr&) {};

constexpr std::uint16_t kWebPort = 80;
constexpr std::uint16_t kTalkPort = 7;
constexpr auto kPatience = 10s;

/// Headings and paragraphs at the width of the ladder.
class Page {
 public:
  Page() : width_(terminal_width(stdout)), colour_(takes_colour(stdout)) {}
  std::size_t width() const { return width_; }
  bool colour() const { return colour_; }

  void heading(const std::string& text) const {
    fmt::print("\n{}{}{}\n{}\n", colour_ ? "\x1b[1m" : "", text, colour_ ? "\x1b[0m" : "",
               repeated(view::columns(text)));
    std::fflush(stdout);
  }
  void paragraph(const std::string& text) const {
    for (const std::string& line : view::wrap(text, width_)) fmt::print("{}\n", line);
    std::fflush(stdout);
  }
  void line(const std::string& text) const {
    fmt::print("{}\n", text);
    std::fflush(stdout);
  }

 private:
  static std::string repeated(std::size_t n) {
    std::string rule;
    for (std::size_t i = 0; i < n; ++i) rule += "─";
    return rule;
  }
  std::size_t width_;
  bool colour_;
};

/// A ladder for each act, so that each begins anew.
class Stage final : public trace::Sink {
 public:
  explicit Stage(const Page& page) : page_(page) {}
  void raise_curtain() {
    ladder_.emplace(view::Ladder::to_file(stdout),
                    view::LadderOptions{.colour = page_.colour(), .width = page_.width()});
  }
  void drop_curtain() {
    if (ladder_) ladder_->finish();
    ladder_.reset();
  }
  void on_event(const trace::Event& event) override {
    if (ladder_) ladder_->on_event(event);
  }

 private:
  const Page& page_;
  std::optional<view::Ladder> ladder_;
};

/// Notes the end of TIME-WAIT, which nobody else has: the program has long let go of the connection by then.
class TimeWaitWatch final : public trace::Sink {
 public:
  void on_event(const trace::Event& event) override {
    if (event.kind != trace::EventKind::kStateChanged) return;
    if (event.to == trace::State::kTimeWait) {
      entered = event;
      entered->header = nullptr;
      entered->frame = nullptr;
    }
    if (event.to == trace::State::kClosed) ++ended;
  }
  std::optional<trace::Event> entered;
  int ended = 0;
};

/// Who is at the other end of the link.
class Peer {
 public:
  virtual ~Peer() = default;
  /// A client fetches the page from `server`; throws Failure where it did not get it.
  virtual asio::awaitable<void> fetch(tcp::endpoint server) = 0;
  /// A client sends a line, half-closes, and reads to the end; returns what it read.
  virtual asio::awaitable<std::string> talk(tcp::endpoint server) = 0;
};

constexpr std::string_view kQuestion = "That is all I have to say.\n";

/// The client's side of the second connection, on whatever stack the socket belongs to.
template <typename Socket>
asio::awaitable<std::string> ask_and_half_close(Socket& socket) {
  co_await asio::async_write(socket, asio::buffer(kQuestion), asio::use_awaitable);
  asio::steady_timer pause(socket.get_executor(), 20ms);  // so that the FIN comes as a segment of its own
  co_await pause.async_wait(asio::use_awaitable);
  socket.shutdown(Socket::shutdown_send);
  std::string answer;
  co_await asio::async_read(socket, asio::dynamic_buffer(answer), kNoThrow);
  socket.close();
  co_return answer;
}

class KernelPeer final : public Peer {
 public:
  explicit KernelPeer(asio::io_context& context) : context_(context), child_signals_(context, SIGCHLD) {}

  asio::awaitable<void> fetch(tcp::endpoint server) override {
    const std::string url = "http://" + server.address.to_string() + "/";
    Child curl({"curl", "-fsS", "--max-time", "8", "-o", "/dev/null", url}, Child::Input::kNone);
    while (!curl.status()) co_await child_signals_.async_wait(asio::use_awaitable);
    if (*curl.status() != 0)
      network_failure("curl " + url, fmt::format("ended with status {}", *curl.status()));
  }

  asio::awaitable<std::string> talk(tcp::endpoint server) override {
    asio::ip::tcp::socket socket(context_);
    const asio::ip::tcp::endpoint to{asio::ip::make_address(server.address.to_string()), server.port};
    co_await socket.async_connect(to, asio::use_awaitable);
    co_return co_await ask_and_half_close(socket);
  }

 private:
  asio::io_context& context_;
  asio::signal_set child_signals_;
};

class SynfinPeer final : public Peer {
 public:
  explicit SynfinPeer(runtime::Runtime& runtime) : runtime_(runtime) {}

  asio::awaitable<void> fetch(tcp::endpoint server) override {
    tcp::socket socket(runtime_);
    co_await socket.async_connect(server, asio::use_awaitable);
    constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: synfin\r\n\r\n";
    co_await asio::async_write(socket, asio::buffer(kRequest), asio::use_awaitable);
    std::string answer;
    co_await asio::async_read(socket, asio::dynamic_buffer(answer), kNoThrow);
    if (!answer.starts_with("HTTP/1.1 200")) network_failure(server.to_string(), "did not serve the page");
  }

  asio::awaitable<std::string> talk(tcp::endpoint server) override {
    tcp::socket socket(runtime_);
    co_await socket.async_connect(server, asio::use_awaitable);
    co_return co_await ask_and_half_close(socket);
  }

 private:
  runtime::Runtime& runtime_;
};

class Demo {
 public:
  explicit Demo(const DemoOptions& options);
  int run();

 private:
  void open_lab();
  void open_memory();
  void introduce() const;
  void explain_end();
  asio::awaitable<void> play();
  asio::awaitable<void> first_connection();
  asio::awaitable<void> second_connection();
  asio::awaitable<void> answer_web(tcp::acceptor& acceptor);
  asio::awaitable<void> answer_talk(tcp::acceptor& acceptor);
  asio::awaitable<void> until_quiet();
  void listen(tcp::acceptor& acceptor, std::uint16_t port) { acceptor.listen({address_, port}); }

  Page page_;
  Stage stage_{page_};
  TimeWaitWatch watch_;
  trace::Fork sinks_;
  wire::BlockPool pool_;
  asio::io_context context_{1};
  std::string no_lab_;  // why there is none; empty: there is
  wire::IpAddress address_ = wire::IpAddress::v4(10, 77, 0, 2);
  std::unique_ptr<runtime::Runtime> server_;
  std::unique_ptr<runtime::Runtime> client_;
  std::unique_ptr<Peer> peer_;
  std::exception_ptr failure_;
};

Demo::Demo(const DemoOptions& options) : sinks_(&stage_, &watch_) {
  if (options.in_memory) {
    no_lab_ = "--in-memory was given";
  } else {
    open_lab();
  }
  if (!server_) open_memory();
}

void Demo::open_lab() {
  auto lab = link::make_lab({.pool = pool_});
  if (!lab) {
    no_lab_ = lab.error().message;
    return;
  }
  runtime::Options options{.config = {.addresses = {lab->synfin_v4}, .mtu = 1500, .settings = {}},
                           .keep_running = true,
                           .pool = &pool_,
                           .sink = &sinks_};
  server_ = std::make_unique<runtime::Runtime>(context_, std::move(lab->link), std::move(options));
  peer_ = std::make_unique<KernelPeer>(context_);
}

void Demo::open_memory() {
  auto [a, b] = link::make_memory_pair({.name = "memory-a"}, {.name = "memory-b"}, 256);
  runtime::Options options{
      .config = {.addresses = {*wire::Prefix::parse("10.77.0.2/24")}, .mtu = 1500, .settings = {}},
      .keep_running = true,
      .pool = &pool_,
      .sink = &sinks_};
  server_ = std::make_unique<runtime::Runtime>(context_, std::move(a), options);
  options.config.addresses = {*wire::Prefix::parse("10.77.0.1/24")};
  options.sink = nullptr;
  client_ = std::make_unique<runtime::Runtime>(context_, std::move(b), options);
  server_->on_sent([this] { client_->wake(); });
  client_->on_sent([this] { server_->wake(); });
  peer_ = std::make_unique<SynfinPeer>(*client_);
}

void Demo::introduce() const {
  page_.heading("Synfin demo: TCP from SYN to FIN, on real packets");
  if (no_lab_.empty()) {
    page_.paragraph(
        "Two connections follow, drawn while they happen. On the left is Synfin, a TCP/IP stack that runs "
        "inside this very program, at "
        "10.77.0.2. On the right is the TCP of the Linux kernel, at 10.77.0.1, used by curl and by plain "
        "socket calls. Between them lies a "
        "network device in a network of its own, made for this run and gone with it.");
  } else {
    page_.paragraph("A private network with the kernel in it cannot be made here: " + no_lab_ + ".");
    page_.paragraph(
        "So two Synfins talk to each other instead, over a link in memory: the server on the left at "
        "10.77.0.2, the client on the right at "
        "10.77.0.1. Two connections follow, drawn while they happen.");
  }
  page_.line("");
  page_.paragraph(
      "Numbers count from each end's first one. The states on the left are Synfin's own; those on the right "
      "are inferred from "
      "the segments, with a question mark where only the arrival of our last one would make them certain.");
}

asio::awaitable<void> Demo::answer_web(tcp::acceptor& acceptor) {
  tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
  HttpService service;
  service.close_first = true;
  service.page = [](const tcp::socket& s) { return built_in_page(s); };
  HttpTotals totals;
  HttpSession session(socket, service, totals);
  co_await session.run();
  std::string rest;
  co_await asio::async_read(socket, asio::dynamic_buffer(rest), kNoThrow);
}

asio::awaitable<void> Demo::answer_talk(tcp::acceptor& acceptor) {
  tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
  std::string heard;
  // Until the client's FIN: it sends no more, but still listens.
  co_await asio::async_read(socket, asio::dynamic_buffer(heard), kNoThrow);
  asio::steady_timer pause(context_, 120ms);
  co_await pause.async_wait(asio::use_awaitable);
  const std::string answer = "I heard you, and I was not done yet: " + heard;
  co_await asio::async_write(socket, asio::buffer(answer), asio::use_awaitable);
  pause.expires_after(120ms);  // so that the FIN comes as a segment of its own
  co_await pause.async_wait(asio::use_awaitable);
  socket.close();
}

/// Until the connection of this act is closed, or in TIME-WAIT, at Synfin.
asio::awaitable<void> Demo::until_quiet() {
  asio::steady_timer look(context_);
  const auto give_up_at = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < give_up_at) {
    const stack::Population now = server_->stack().population();
    if (now.connections == 0 && now.half_open == 0) break;
    look.expires_after(5ms);
    co_await look.async_wait(asio::use_awaitable);
  }
  stage_.drop_curtain();
}

asio::awaitable<void> Demo::first_connection() {
  page_.heading(no_lab_.empty() ? "1  curl fetches a page, and Synfin closes first"
                                : "1  A client fetches a page, and the server closes first");
  stage_.raise_curtain();
  tcp::acceptor acceptor(*server_);
  listen(acceptor, kWebPort);
  asio::co_spawn(context_, answer_web(acceptor), kFailureShowsAtTheClient);
  co_await peer_->fetch({address_, kWebPort});
  co_await until_quiet();
}

asio::awaitable<void> Demo::second_connection() {
  page_.heading("2  The client has said all it has to say; the server has not: a half-close");
  stage_.raise_curtain();
  tcp::acceptor acceptor(*server_);
  listen(acceptor, kTalkPort);
  asio::co_spawn(context_, answer_talk(acceptor), kFailureShowsAtTheClient);
  const std::string answer = co_await peer_->talk({address_, kTalkPort});
  co_await until_quiet();
  if (answer.empty()) network_failure("the half-closed connection", "nothing came back on it");
}

void Demo::explain_end() {
  page_.heading("What was shown");
  page_.paragraph(
      "Three segments to open, because each end must announce the number its octets begin at, and each must "
      "have that number acknowledged: "
      "that makes four messages, and the second and third of them (\"I heard yours\" and \"here is mine\") "
      "travel in one segment, the SYN-ACK.");
  page_.line("");
  page_.paragraph(
      "Four segments to close, because the two directions end separately: whoever hears FIN acknowledges it "
      "at once, but may have more to send "
      "(connection 2 did), so its own FIN comes later. Where nothing is left to send, ACK and FIN may "
      "share a segment, and three suffice.");
  if (!watch_.entered) return;
  const trace::Event& entered = *watch_.entered;
  page_.line("");
  page_.paragraph(
      "Whoever closes first stays behind in TIME-WAIT for 2 MSL, to repeat the last ACK if it was lost and "
      "to let late segments die out. In "
      "connection 1 that was Synfin, in connection 2 the other end. Right now, at Synfin:");
  page_.line("");
  page_.line(fmt::format("    {}  {} -> {}   TIME-WAIT: {} s of {} s remain", page_.colour() ? "\x1b[1m" : "",
                         entered.tuple.local.to_string(), entered.tuple.remote.to_string(),
                         view::seconds_text(entered.deadline - server_->now(), 2),
                         view::seconds_text(entered.deadline - entered.at, 0)) +
             (page_.colour() ? "\x1b[0m" : ""));
}

asio::awaitable<void> Demo::play() {
  introduce();
  co_await first_connection();
  co_await second_connection();
  explain_end();
  page_.heading("What to try next");
  page_.line("    build/release/synfin serve --lab --ladder -- curl http://10.77.0.2/");
  page_.line("    build/release/synfin explain TIME-WAIT");
  page_.line(
      "    build/release/synfin serve --lab --ladder --impair loss=20%,seed=3 -- curl http://10.77.0.2/");
}

int Demo::run() {
  asio::co_spawn(context_, play(), [this](const std::exception_ptr& failure) {
    failure_ = failure;
    context_.stop();
  });
  asio::signal_set signals(context_, SIGINT, SIGTERM);
  signals.async_wait([this](const boost::system::error_code& error, int) {
    if (!error) context_.stop();
  });
  context_.run();
  if (failure_) std::rethrow_exception(failure_);
  return kSuccess;
}

}  // namespace

int run_demo(const DemoOptions& options) {
  Demo demo(options);
  return demo.run();
}

}  // namespace synfin::app
