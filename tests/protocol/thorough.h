// SPDX-License-Identifier: Apache-2.0
//
// How much a test can do within its time.
#pragma once

namespace synfin::protocol_test {

#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
#define SYNFIN_SLOW_BUILD 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SYNFIN_SLOW_BUILD 1
#endif
#endif

/// Compiled with sanitizers, or not optimised: an order of magnitude slower.
#ifdef SYNFIN_SLOW_BUILD
inline constexpr bool kSlowBuild = true;
#undef SYNFIN_SLOW_BUILD
#else
inline constexpr bool kSlowBuild = false;
#endif

}  // namespace synfin::protocol_test
