// SPDX-License-Identifier: Apache-2.0
//
// Read first: draft-ietf-ccwg-bbr, "Detailed Delivery Rate Sampling Algorithm".
#include "synfin/tcp/rate_sample.h"

#include <algorithm>

namespace synfin::tcp {
void DeliveryRate::begin(std::uint32_t delivered, Instant now, bool app_limited) {
  *this = DeliveryRate{};
  delivered_ = dry_until_ = delivered;
  delivered_at_ = first_sent_ = microseconds(now);
  app_limited_ = app_limited;
}

RateSample DeliveryRate::take(Duration least) {
  if (app_limited_ && static_cast<std::int32_t>(delivered_ - dry_until_) > 0) app_limited_ = false;
  RateSample s;
  if (!any_) return s;
  any_ = false;
  s.valid = true;
  s.app_limited = newest_.app_limited;
  s.prior_delivered = newest_.delivered;
  s.delivered = delivered_ - newest_.delivered;
  s.in_flight = newest_.in_flight;
  s.lost = lost_ - newest_.lost;
  // "Use the longer of the send_elapsed and ack_elapsed": neither a burst of segments nor one of
  // acknowledgements is faster than the path.
  const std::uint32_t interval = std::max({send_elapsed_, ack_elapsed_, 1u});
  if (interval < least.us()) return s;
  s.rate = std::uint64_t{s.delivered} * 1'000'000 / interval;
  return s;
}

}  // namespace synfin::tcp
