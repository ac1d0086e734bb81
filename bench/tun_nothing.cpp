// SPDX-License-Identifier: Apache-2.0
//
// A far end that does nothing but what keeps the kernel going: no timers, no queues, no options beyond MSS
// and scale, one peer. What it reaches is the most that anything behind a TUN device can.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "synfin/link/virtio_header.h"
#include "synfin/wire/checksum.h"
#include "tun_run.h"

namespace synfin::bench {
namespace {

constexpr std::size_t kIp = 20, kTcp = 20, kSynTcp = 28;
constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kAck = 16;
constexpr std::uint16_t kMss = kTunMtu - kIp - kTcp;
constexpr std::uint32_t kFirst = 1000;  // its sequence numbers begin here, always
constexpr unsigned kScale = 14;
// Scaled: fewer packets than the queue of the device has places, so that none is lost there.
constexpr std::uint16_t kWindowOneByOne = 36;
constexpr std::uint32_t kAtOnce = 1 << 30;
constexpr std::uint32_t kSuperSegment = (65'535 - kIp - kTcp) / kMss * kMss;

struct Heard {
  std::uint32_t from = 0, to = 0;  // addresses
  std::uint16_t port = 0;
  std::uint32_t seq = 0, ack = 0, window = 0, text = 0;
  unsigned scale = 0;
  std::uint8_t flags = 0;
};

class Nothing {
 public:
  Nothing(const TunWork& work, TunMeter& meter, const link::Lab& lab, bool copied)
      : work_(work),
        meter_(meter),
        device_(lab.link->descriptor()),
        ahead_(work.offload ? link::kVirtioHeaderSize : 0),
        in_(70'000),
        out_(70'000, std::byte{9}),
        text_(copied ? kSuperSegment : 0, std::byte{9}) {}

  void run() {
    while (!meter_.complete()) {
      bool busy = hear_some();
      if (work_.way == TunWay::kSend) busy = talk() || busy;
      if (busy) {
        idle_ = 0;
        continue;
      }
      pollfd readable{device_, POLLIN, 0};
      // What was lost on a busy machine must not end the run.
      constexpr int kTooLong = 50;
      if (::poll(&readable, 1, 1) == 0 && ++idle_ == kTooLong) {
        sent_ = acked_;
        idle_ = 0;
      }
    }
    if (work_.way != TunWay::kLives) (void)say(peer_, kRst | kAck, sent_, heard_, 0);
  }

 private:
  bool hear_some() {
    bool busy = false;
    for (int turn = 0; turn < 32; ++turn) {
      const ssize_t size = ::read(device_, in_.data(), in_.size());
      if (size < static_cast<ssize_t>(ahead_ + kIp + kTcp)) break;
      Heard h;
      if (!parse(Bytes{in_}.subspan(ahead_, static_cast<std::size_t>(size) - ahead_), h)) continue;
      busy = true;
      if (work_.way == TunWay::kLives) {
        live(h);
      } else {
        stream(h);
      }
      if (owed_ >= (work_.offload ? 65'536U : 2U * kMss)) acknowledge();
    }
    if (owed_ > 0) acknowledge();
    return busy;
  }

  static bool parse(Bytes packet, Heard& h) {
    const std::byte* const p = packet.data();
    if (load_u8(p) != 0x45 || load_u8(p + 9) != 6) return false;
    const std::byte* const t = p + kIp;
    h.from = load_be32(p + 12);
    h.to = load_be32(p + 16);
    h.port = load_be16(t);
    h.seq = load_be32(t + 4);
    h.ack = load_be32(t + 8);
    h.flags = load_u8(t + 13);
    h.window = load_be16(t + 14);
    const std::size_t header = (std::size_t{load_u8(t + 12)} >> 4) * 4;
    h.text = static_cast<std::uint32_t>(load_be16(p + 2) - kIp - header);
    for (std::size_t i = kTcp; (h.flags & kSyn) != 0 && i + 2 < header;) {
      const unsigned kind = load_u8(t + i);
      if (kind == 0) break;
      if (kind == 3) h.scale = load_u8(t + i + 2);
      i += kind == 1 ? 1 : std::max<std::size_t>(load_u8(t + i + 1), 2);
    }
    return true;
  }

  void stream(const Heard& h) {
    if ((h.flags & kSyn) != 0) {
      peer_ = h;
      heard_ = h.seq + 1;
      (void)say(h, kSyn | kAck, kFirst, heard_, 0);
      sent_ = acked_ = kFirst + 1;
      return;
    }
    if ((h.flags & kRst) != 0) return;
    acked_ = h.ack;
    window_ = h.window << peer_.scale;
    if (h.text == 0) return;
    if (h.seq != heard_) {
      owed_ = kAtOnce;  // something was lost: the kernel learns of it by what is said again
      return;
    }
    heard_ += h.text;
    owed_ += h.text;
    if (work_.way == TunWay::kReceive) (void)meter_.add(h.text);
  }

  // Without memory: what is to be said follows from what was heard.
  void live(const Heard& h) {
    if ((h.flags & kRst) != 0) return;
    if ((h.flags & kSyn) != 0) {
      (void)say(h, kSyn | kAck, kFirst, h.seq + 1, 0);
    } else if ((h.flags & kFin) != 0) {
      (void)say(h, kAck, kFirst + 2, h.seq + 1, 0);
    } else if (h.ack == kFirst + 1) {
      (void)say(h, kFin | kAck, kFirst + 1, h.seq, 0);
    }
  }

  bool talk() {
    const std::uint32_t most = work_.offload ? kSuperSegment : kMss;
    bool busy = false;
    for (int turn = 0; turn < 16 && sent_ - acked_ + most <= window_; ++turn) {
      if (!say(peer_, kAck, sent_, heard_, most)) break;
      sent_ += most;
      busy = true;
    }
    return busy;
  }

  void acknowledge() {
    (void)say(peer_, kAck, sent_, heard_, 0);
    owed_ = 0;
  }

  // With `text` octets of whatever lies in the buffer. False: the device does not take it.
  bool say(const Heard& to, std::uint8_t flags, std::uint32_t seq, std::uint32_t ack, std::uint32_t text) {
    const std::size_t tcp = (flags & kSyn) != 0 ? kSynTcp : kTcp;
    // The text begins where the longest header would end.
    std::byte* const t = out_.data() + ahead_ + kIp + kSynTcp - tcp;
    std::byte* const p = t - kIp;
    const std::size_t size = kIp + tcp + text;
    if (!text_.empty()) std::memcpy(t + tcp, text_.data(), text);
    static constexpr std::array<std::uint8_t, kIp> kNetwork{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6};
    std::memcpy(p, kNetwork.data(), kIp);
    store_be16(p + 2, static_cast<std::uint16_t>(size));
    store_be32(p + 12, to.to);
    store_be32(p + 16, to.from);
    store_be16(p + 10, static_cast<std::uint16_t>(~wire::ones_sum({p, kIp})));
    store_be16(t, kTunPort);
    store_be16(t + 2, to.port);
    store_be32(t + 4, seq);
    store_be32(t + 8, ack);
    t[12] = static_cast<std::byte>(tcp << 2);
    t[13] = std::byte{flags};
    store_be16(t + 14, tcp == kSynTcp || work_.offload ? 65'535 : kWindowOneByOne);
    store_be32(t + 16, 0);
    if (tcp == kSynTcp) {
      static constexpr std::array<std::uint8_t, kSynTcp - kTcp> kOptions{2, 4, kMss >> 8, kMss & 255,
                                                                         1, 3, 3,         kScale};
      std::memcpy(t + kTcp, kOptions.data(), kOptions.size());
    }
    wire::ChecksumAccumulator sum;
    sum.add_words(std::uint64_t{to.to} + to.from + 6 + tcp + text);
    if (work_.offload) {
      store_be16(t + 16, sum.folded());
    } else {
      sum.add({t, tcp + text});
      store_be16(t + 16, sum.finish());
    }
    if (work_.offload) {
      const std::uint8_t divided = text > kMss ? 1 : 0;
      const std::array<std::uint16_t, 4> fields{static_cast<std::uint16_t>(kIp + tcp),
                                                divided != 0 ? kMss : std::uint16_t{0}, kIp, 16};
      p[-10] = std::byte{1};
      p[-9] = std::byte{divided};
      std::memcpy(p - 8, fields.data(), sizeof fields);
    }
    return ::write(device_, p - ahead_, ahead_ + size) > 0;
  }

  const TunWork& work_;
  TunMeter& meter_;
  int device_;
  std::size_t ahead_;
  std::vector<std::byte> in_, out_, text_;
  Heard peer_;
  int idle_ = 0;  // ms, about
  std::uint32_t heard_ = 0, owed_ = 0, sent_ = 0, acked_ = 0, window_ = 0;
};

}  // namespace

std::string run_nothing(const TunWork& work, TunMeter& meter, const link::Lab& lab, bool copied,
                        const Ready& ready) {
  Nothing far{work, meter, lab, copied};
  ready();
  far.run();
  return {};
}

}  // namespace synfin::bench
