// SPDX-License-Identifier: Apache-2.0
//
// Synfin at the far end: the runtime with the loop that blocking calls use, and a program on it.
#include <array>
#include <boost/asio/io_context.hpp>
#include <vector>

#include "synfin/base/entropy.h"
#include "synfin/runtime/runtime.h"
#include "tun_run.h"

namespace synfin::bench {
namespace {

class Program {
 public:
  Program(const TunWork& work, TunMeter& meter, runtime::Runtime& runtime, bool shared)
      : work_(work), meter_(meter), runtime_(runtime), shared_(shared), text_(kTunPiece) {
    const auto listener = stack().listen({wire::IpAddress::any(wire::Family::kIpv4), kTunPort},
                                         {.backlog = 1024}, runtime_.now());
    if (!listener) {
      problem_ = "Synfin cannot listen";
      return;
    }
    listener_ = *listener;
    runtime_.register_socket(listener_, acceptor_);
  }

  std::string run() {
    while (problem_.empty() && !ended_ && !meter_.complete()) {
      (void)runtime_.block_until([&] { return writable_ || ended_ || meter_.complete(); });
      if (writable_) write_on();
    }
    if (!meter_.complete() && problem_.empty()) problem_ = "Synfin's end is gone before its time";
    // Resets what is left, so that the kernel's program ends as well.
    stack().shut_down(runtime_.now());
    runtime_.pump();
    return meter_.complete() ? std::string{} : problem_;
  }

 private:
  struct Acceptor final : runtime::Watcher {
    explicit Acceptor(Program& owner) : program(owner) {}
    void on_socket_event(std::uint16_t) override { program.accept(); }
    void on_runtime_end() override {}
    Program& program;
  };
  struct Stream final : runtime::Watcher {
    explicit Stream(Program& owner) : program(owner) {}
    void on_socket_event(std::uint16_t what) override { program.on_stream(what); }
    void on_runtime_end() override {}
    Program& program;
  };

  stack::Stack& stack() { return runtime_.stack(); }

  void accept() {
    while (const auto handle = stack().accept(listener_, runtime_.now())) {
      if (work_.way == TunWay::kLives) {
        runtime_.close(*handle);
        continue;
      }
      connection_ = *handle;
      runtime_.register_socket(connection_, stream_);
      on_stream(0);
    }
  }

  void on_stream(std::uint16_t what) {
    if ((what & stack::kFailed) != 0) {
      ended_ = true;
    } else if (work_.way == TunWay::kReceive) {
      shared_ ? take_slices() : read();
    } else {
      writable_ = true;
    }
  }

  void read() {
    const MutableBytes into{text_};
    while (const auto n = stack().receive(connection_, std::span{&into, 1}, runtime_.now())) {
      if (*n == 0 || meter_.add(*n)) return;
    }
  }

  void take_slices() {
    std::array<wire::Slice, 16> slices;
    while (const auto n = stack().receive_shared(connection_, slices, runtime_.now())) {
      for (wire::Slice& s : slices) s.reset();
      if (*n == 0 || meter_.add(*n)) return;
    }
  }

  // Piece by piece, as a program that calls write(2): each is on its way before the next is copied, while it
  // lies in the processor's cache.
  void write_on() {
    while (!ended_ && !meter_.complete()) {
      if (!(shared_ ? lend() : copy())) {
        writable_ = false;
        return;
      }
      runtime_.pump();
    }
  }

  bool copy() {
    const Bytes from{text_};
    return stack().send(connection_, std::span{&from, 1}, runtime_.now()).has_value();
  }

  // The same text again and again, as somebody who serves one file.
  bool lend() {
    wire::Slice slice = runtime_.pool().lend(
        Bytes{text_}, [](void*) {}, nullptr);
    return stack().send_shared(connection_, std::span{&slice, 1}, runtime_.now()).has_value();
  }

  const TunWork& work_;
  TunMeter& meter_;
  runtime::Runtime& runtime_;
  bool shared_;
  std::vector<std::byte> text_;
  Acceptor acceptor_{*this};
  Stream stream_{*this};
  stack::Handle listener_, connection_;
  std::string problem_;
  bool ended_ = false;
  bool writable_ = false;
};

}  // namespace

std::string run_synfin(const TunWork& work, TunMeter& meter, link::Lab lab, wire::BlockPool& pool,
                       bool shared, const Ready& ready) {
  stack::Config config;
  for (std::uint8_t i = 0; i < kTunAddresses; ++i) {
    const auto last = static_cast<std::uint8_t>(2 + i);
    config.addresses.push_back({wire::IpAddress::v4(10, 77, 0, last), 24});
  }
  SeededEntropy entropy{work.seed};
  boost::asio::io_context context{1};
  runtime::Runtime runtime{
      context,
      std::move(lab.link),
      {.config = std::move(config), .drive = runtime::Drive::kManual, .pool = &pool, .entropy = &entropy}};
  Program program{work, meter, runtime, shared};
  ready();
  return program.run();
}

}  // namespace synfin::bench
