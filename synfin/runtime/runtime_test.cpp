// SPDX-License-Identifier: Apache-2.0
#include "synfin/runtime/runtime.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <deque>

#include "synfin/runtime/error.h"
#include "synfin/runtime/test_pair.h"

namespace synfin::runtime {
namespace {

namespace asio = boost::asio;
using namespace synfin::literals;
using boost::system::error_code;

const wire::Endpoint kServer{TestPair::kAddressB, 80};

struct Seen final : Watcher {
  void on_socket_event(std::uint16_t what) override {
    events |= what;
    ++calls;
  }
  void on_runtime_end() override { ended = true; }
  std::uint16_t events = 0;
  int calls = 0;
  bool ended = false;
};

/// A connection of two handles.
struct Opened {
  stack::Handle listener, client, server;
};
Opened open(TestPair& net) {
  Opened o;
  o.listener = net.b->stack().listen(kServer, {}, net.now).value();
  o.client = net.a->stack().connect(kServer, {}, net.now).value();
  net.settle();
  o.server = net.b->stack().accept(o.listener, net.now).value();
  return o;
}
std::size_t send(Runtime& r, stack::Handle h, std::size_t octets) {
  const std::vector<std::byte> data(octets);
  const Bytes view(data);
  return r.stack().send(h, std::span(&view, 1), r.now()).value_or(0);
}

/// A link that does as the test says, with a pipe to wait on where it wants one.
class ScriptedLink final : public link::Link {
 public:
  struct Script {
    std::deque<std::expected<std::size_t, link::LinkError>> receive;
    std::expected<std::size_t, link::LinkError> room = 1000;
    std::size_t sent = 0;
    std::size_t looks = 0;
    std::string calls;  // r: receive, s: send
    bool may_have_more = true;
    Instant deadline = Instant::never();
    int held_back = 0;  // how many more times `receive` names a deadline, 2 ms ahead
    std::array<int, 2> pipe{-1, -1};
  };
  explicit ScriptedLink(Script& script) : script_(script) {}
  const link::LinkInfo& info() const override { return info_; }
  std::expected<std::size_t, link::LinkError> receive(std::span<wire::Frame> batch, Instant now) override {
    for (wire::Frame& f : batch) f.clear();
    ++script_.looks;
    script_.calls += 'r';
    script_.deadline = script_.held_back-- > 0 ? now + 2_ms : Instant::never();
    if (script_.receive.empty()) return 0;
    const auto next = script_.receive.front();
    script_.receive.pop_front();
    return next;
  }
  std::expected<std::size_t, link::LinkError> send(std::span<wire::Frame> batch, Instant) override {
    script_.calls += 's';
    if (!script_.room) return script_.room;
    const std::size_t n = std::min(*script_.room, batch.size());
    for (wire::Frame& f : batch.first(n)) f.clear();
    *script_.room -= n;
    script_.sent += n;
    return n;
  }
  bool may_have_more() const override { return script_.may_have_more; }
  Instant next_deadline() const override { return script_.deadline; }
  int descriptor() const override { return script_.pipe[0]; }

 private:
  Script& script_;
  link::LinkInfo info_{.name = "scripted", .mtu = 1400};
};

Options options(Drive drive) {
  Options o;
  o.config.addresses = {{TestPair::kAddressA, 24}};
  o.drive = drive;
  return o;
}

TEST(Runtime, TellsWatchersOfTheirHandles) {
  Seen listening, connecting;
  TestPair net;
  const stack::Handle listener = net.b->stack().listen(kServer, {}, net.now).value();
  net.b->register_socket(listener, listening);
  const stack::Handle client = net.a->stack().connect(kServer, {}, net.now).value();
  net.a->register_socket(client, connecting);
  net.settle();
  EXPECT_TRUE(listening.events & stack::kAcceptable);
  EXPECT_TRUE(connecting.events & stack::kConnected);
  net.a->unregister_socket(client);
  connecting.calls = 0;
  net.b->stack().shut_down(net.now);
  net.settle();
  EXPECT_EQ(connecting.calls, 0);
  net.b.reset();
  EXPECT_TRUE(listening.ended);
  EXPECT_FALSE(connecting.ended);
}

TEST(Runtime, TellsAHeldSynFromAConnectionOfTheSameIndex) {
  Seen accepting, pending;  // before the runtimes, which tell them of their end
  TestPair net;
  stack::Stack& a = net.a->stack();
  stack::Stack& b = net.b->stack();
  const stack::Handle listener = b.listen(kServer, {.hold = true}, net.now).value();
  const stack::Handle client = a.connect(kServer, {}, net.now).value();
  net.settle();
  const stack::Handle connection = b.accept_pending(b.next_pending(listener).value(), net.now).value();
  net.b->register_socket(connection, accepting);
  ASSERT_TRUE(a.connect(kServer, {}, net.now));
  net.settle();
  const stack::Handle held = b.next_pending(listener).value();
  ASSERT_EQ(held.index(), connection.index());
  net.b->register_socket(held, pending);
  a.abort(client, net.now);
  net.settle();
  EXPECT_TRUE(accepting.events & stack::kFailed);
  EXPECT_EQ(pending.calls, 0);
  net.pass(Duration::seconds(62));
  EXPECT_TRUE(pending.events & stack::kFailed);
}

TEST(Runtime, TakesTheMtuOfTheLink) {
  asio::io_context io;
  ScriptedLink::Script script;
  Runtime r(io, std::make_unique<ScriptedLink>(script), options(Drive::kManual));
  EXPECT_EQ(r.stack().config().mtu, 1400u);
}

TEST(Runtime, KeepsWhatTheLinkRefusesAndAsksTheStackForNoMore) {
  // A queue of two frames: most of what the stack has to say is refused, and all of it must arrive in the
  // end.
  TestPair net(2);
  net.a->stack().settings().tcp_wmem = 1 << 20;
  const Opened o = open(net);
  ASSERT_EQ(send(*net.a, o.client, 100'000), 100'000u);
  ASSERT_TRUE(net.run_until([&] { return net.b->stack().readable(o.server).value() == 100'000; }));
}

TEST(Runtime, StopsForFairnessAndGoesOnByItself) {
  asio::io_context io;
  ScriptedLink::Script script;
  script.receive.assign(Runtime::kMaxBatches + 3, 1);
  Runtime r(io, std::make_unique<ScriptedLink>(script), options(Drive::kManual));
  EXPECT_TRUE(r.pump());
  EXPECT_EQ(script.receive.size(), 3u);
  io.poll();
  EXPECT_TRUE(script.receive.empty());
}

TEST(Runtime, PostsOnePumpHoweverOftenItIsAsked) {
  TestPair net;
  net.settle();
  for (int i = 0; i < 10; ++i) net.a->schedule();
  net.io.restart();
  EXPECT_EQ(net.io.poll(), 1u);
}

TEST(Runtime, LinkErrorFailsSocketsAndIsReportedOnce) {
  Seen seen, listening;
  asio::io_context io;
  ScriptedLink::Script script;
  Runtime r(io, std::make_unique<ScriptedLink>(script), options(Drive::kManual));
  int reported = 0;
  r.on_link_error([&](const link::LinkError& e) { reported += e.code == ENODEV; });
  const stack::Handle h = r.stack().connect(kServer, {}, r.now()).value();
  r.register_socket(h, seen);
  r.register_socket(r.stack().listen({TestPair::kAddressA, 80}, {}, r.now()).value(), listening);
  r.pump();
  EXPECT_EQ(script.sent, 1u);
  script.receive.push_back(std::unexpected(link::LinkError{"the device is gone", ENODEV}));
  r.pump();
  EXPECT_TRUE(seen.events & stack::kFailed);
  EXPECT_TRUE(listening.events & stack::kFailed);
  EXPECT_EQ(r.translate(r.stack().failure(h)), asio::error::network_down);
  io.poll();
  EXPECT_EQ(reported, 1);
  ASSERT_TRUE(r.link_error());
  EXPECT_EQ(r.link_error()->message, "the device is gone");
  r.pump();
  io.restart();
  io.poll();
  EXPECT_EQ(reported, 1);
  EXPECT_EQ(r.block_until([] { return false; }), asio::error::network_down);
}

TEST(Runtime, BlockingForNothingIsAnError) {
  asio::io_context io;
  ScriptedLink::Script script;
  Runtime r(io, std::make_unique<ScriptedLink>(script), options(Drive::kManual));
  EXPECT_EQ(r.block_until([] { return false; }), asio::error::operation_not_supported);
}

TEST(Runtime, AbortsWhatIsOpenWhenItEnds) {
  TestPair net;
  const Opened o = open(net);
  net.a.reset();
  net.b->pump();
  EXPECT_EQ(net.b->stack().failure(o.server), tcp::Error::kReset);
}

// --- What keeps io_context::run going ---

class RuntimeWork : public ::testing::Test {
 protected:
  RuntimeWork() {
    if (::pipe(script.pipe.data()) != 0) ADD_FAILURE() << "no pipe";
  }
  ~RuntimeWork() override {
    for (const int fd : script.pipe) ::close(fd);
  }
  void start(bool keep_running = false) {
    Options o = options(Drive::kAutomatic);
    o.keep_running = keep_running;
    runtime = std::make_unique<Runtime>(io, std::make_unique<ScriptedLink>(script), std::move(o));
  }

  ScriptedLink::Script script;
  asio::io_context io;
  std::unique_ptr<Runtime> runtime;
};

TEST_F(RuntimeWork, AnIdleRuntimeLetsRunEnd) {
  start();
  io.run();  // ends, or the test never does
  EXPECT_TRUE(io.stopped());
  io.restart();
  bool ran = false;
  asio::post(io, [&] { ran = true; });
  io.run();
  EXPECT_TRUE(ran);
}

TEST_F(RuntimeWork, AnOpenConnectionAndItsTimersDoNotKeepRunGoing) {
  start();
  const stack::Handle h = runtime->stack().connect(kServer, {}, runtime->now()).value();
  runtime->schedule();
  io.run();
  EXPECT_EQ(script.sent, 1u);
  EXPECT_EQ(runtime->stack().status(h).value().state, trace::State::kSynSent);
  EXPECT_FALSE(runtime->next_deadline().is_never());
}

TEST_F(RuntimeWork, ServesTheLinkAsLongAsOthersKeepRunGoing) {
  start();
  script.receive.assign(3, 1);
  auto work = asio::make_work_guard(io);
  io.poll();  // arms
  EXPECT_TRUE(script.receive.empty());
  script.receive.assign(2, 1);
  EXPECT_EQ(::write(script.pipe[1], "x", 1), 1);
  while (!script.receive.empty()) io.run_one();
  work.reset();
  char c = 0;
  EXPECT_EQ(::read(script.pipe[0], &c, 1), 1);
  io.run();
}

TEST_F(RuntimeWork, KeepRunningLastsUntilStop) {
  start(true);
  io.poll();
  EXPECT_FALSE(io.stopped());
  asio::post(io, [&] { runtime->stop(); });
  io.run();
  EXPECT_TRUE(io.stopped());
}

TEST_F(RuntimeWork, RefusedFramesAreWork) {
  start();
  script.room = 0;
  (void)runtime->stack().connect(kServer, {}, runtime->now()).value();
  runtime->schedule();
  io.poll();
  EXPECT_FALSE(io.stopped());
  script.room = 10;
  runtime->wake();
  io.run();
  EXPECT_EQ(script.sent, 1u);
}

TEST_F(RuntimeWork, DeadlinesAreMetWithoutAnyHelp) {
  start();
  auto work = asio::make_work_guard(io);
  script.held_back = 3;
  for (int i = 0; i < 100 && script.looks < 4; ++i) io.run_one_for(std::chrono::seconds(1));
  EXPECT_EQ(script.looks, 4u);  // the first, and once at each deadline
  EXPECT_TRUE(runtime->next_deadline().is_never());
}

// With a descriptor, a look at the link is a call of the system: not before what the program left is sent,
// unless something is known to be there, and not twice where the first saw the end.
TEST_F(RuntimeWork, LooksAtALinkWhereSomethingMayBe) {
  start();
  const auto knock = [&] { (void)runtime->stack().connect(kServer, {}, runtime->now()).value(); };
  script.may_have_more = false;
  const auto calls = [&](auto what) {
    script.calls.clear();
    what();
    return script.calls;
  };
  const auto pump = [&] { runtime->pump(); };
  runtime->pump();
  knock();
  EXPECT_EQ(calls(pump), "sr");
  EXPECT_EQ(calls(pump), "r");
  // Two frames that mean nothing.
  script.receive = {2};
  EXPECT_EQ(calls(pump), "r");
  script.receive = {2};
  script.may_have_more = true;
  EXPECT_EQ(calls(pump), "rr");
  // What wakes a blocking call is read before anything is sent, and behind what is sent answers may be.
  script.may_have_more = false;
  ASSERT_EQ(::write(script.pipe[1], "x", 1), 1);
  int turn = 0;
  script.receive = {0, 2};
  EXPECT_EQ(calls([&] {
              EXPECT_FALSE(runtime->block_until([&] {
                if (++turn == 1) knock();
                return turn == 2;
              }));
            }),
            "rrsr");
}

TEST_F(RuntimeWork, BlockingWaitsForDeadlinesAndForTheDescriptor) {
  start();
  script.held_back = 2;
  EXPECT_FALSE(runtime->block_until([&] { return script.looks >= 3; }));
  EXPECT_TRUE(runtime->next_deadline().is_never());
  EXPECT_EQ(::write(script.pipe[1], "x", 1), 1);
  script.looks = 0;
  EXPECT_FALSE(runtime->block_until([&] { return script.looks >= 2; }));
}

TEST_F(RuntimeWork, EndsBeforeTheContextWithWaitsUnderWay) {
  start();
  auto work = asio::make_work_guard(io);
  (void)runtime->stack().connect(kServer, {}, runtime->now()).value();
  runtime->schedule();
  io.poll();
  runtime.reset();
  work.reset();
  io.run();  // the cancelled waits run their handlers without harm
  EXPECT_TRUE(io.stopped());
}

TEST(RuntimeClosing, KeepsRunGoingUntilWhatWasClosedHasBeenDelivered) {
  Seen seen;
  TestPair net;
  const Opened o = open(net);
  net.a->register_socket(o.client, seen);
  ASSERT_EQ(send(*net.a, o.client, 1000), 1000u);
  net.a->close(o.client);
  net.io.restart();
  net.io.poll();  // the data and the FIN leave
  EXPECT_FALSE(net.io.stopped());
  net.settle();
  EXPECT_FALSE(net.io.stopped() && net.a->stack().population().connections != 0);
  net.b->close(o.server);
  ASSERT_TRUE(net.run_until([&] { return net.io.stopped(); }));
  EXPECT_EQ(net.a->stack().population().connections, 0u);
  EXPECT_EQ(seen.calls, 0);
}

TEST(Errors, AreThoseOfAsio) {
  using tcp::Error;
  error_code ec = Error::kReset;  // converts, as errors of libraries do
  EXPECT_EQ(ec, asio::error::connection_reset);
  EXPECT_EQ(make_error_code(Error::kRefused), asio::error::connection_refused);
  EXPECT_EQ(make_error_code(Error::kTimedOut), asio::error::timed_out);
  EXPECT_EQ(make_error_code(Error::kClosing), asio::error::broken_pipe);
  EXPECT_EQ(make_error_code(Error::kWouldBlock), asio::error::would_block);
  EXPECT_EQ(make_error_code(Error::kStackShutdown), asio::error::operation_aborted);
  EXPECT_EQ(make_error_code(Error::kAddressInUse), asio::error::address_in_use);
  EXPECT_EQ(make_error_code(Error::kHostUnreachable), asio::error::host_unreachable);
  EXPECT_EQ(make_error_code(Error::kInvalidHandle), asio::error::bad_descriptor);
}

}  // namespace
}  // namespace synfin::runtime
