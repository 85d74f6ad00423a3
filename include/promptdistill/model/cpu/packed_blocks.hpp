#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Blocks of a cache's bfloat16 rows in the order that products of pairs read: what is multiplied
// with one query after another is brought there once.

#include <c10/util/BFloat16.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "promptdistill/model/cpu/lanes.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#define PROMPTDISTILL_BF16 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")))

namespace promptdistill::cpu::detail {

inline constexpr std::int64_t kKeyBlock = 128;  // rows of one

/// Transposes sixteen vectors by exchanging halves, quarters, eighths and sixteenths of pairs.
template <int kDistance, int... lane>
PROMPTDISTILL_BF16 PROMPTDISTILL_INLINE void exchange(Words (&rows)[kLanes],
                                                      std::integer_sequence<int, lane...>) {
  for (int i = 0; i < kLanes; ++i) {
    if ((i & kDistance) != 0) continue;
    const Words a = rows[i], b = rows[i + kDistance];
    rows[i] = __builtin_shufflevector(
        a, b, ((lane & kDistance) == 0 ? lane : static_cast<int>(kLanes) + lane - kDistance)...);
    rows[i + kDistance] = __builtin_shufflevector(
        a, b, ((lane & kDistance) == 0 ? lane + kDistance : static_cast<int>(kLanes) + lane)...);
  }
}

/// Keys [count, D] to pairs along D: for each pair the keys of a block side by side; missing ones
/// are 0.
PROMPTDISTILL_BF16 inline void pack_keys(const c10::BFloat16* keys,
                                         std::int64_t count,
                                         std::int64_t size,
                                         std::int32_t* packed) {
  constexpr auto lanes = std::make_integer_sequence<int, kLanes>{};
  for (std::int64_t first = 0; first < kKeyBlock; first += kLanes) {
    for (std::int64_t d = 0; d < size; d += 2 * kLanes) {
      const std::int64_t pairs = std::min(kLanes, (size - d) / 2);
      Words rows[kLanes] = {};
      for (std::int64_t key = 0; key < std::min(kLanes, count - first); ++key) {
        const auto* const from = keys + (first + key) * size + d;
        std::memcpy(&rows[key], from, static_cast<std::size_t>(4 * pairs));
      }
      exchange<8>(rows, lanes);
      exchange<4>(rows, lanes);
      exchange<2>(rows, lanes);
      exchange<1>(rows, lanes);
      for (std::int64_t pair = 0; pair < pairs; ++pair)
        std::memcpy(packed + (d / 2 + pair) * kKeyBlock + first, &rows[pair], 64);
    }
  }
}

/// Values [count, D] to pairs along the keys; missing ones are 0.
PROMPTDISTILL_BF16 inline void pack_values(const c10::BFloat16* values,
                                           std::int64_t count,
                                           std::int64_t size,
                                           std::int32_t* packed) {
  for (std::int64_t key = 0; key < kKeyBlock; key += 2) {
    for (std::int64_t d = 0; d < size; d += kLanes) {
      Halves low = {}, high = {};
      if (key < count) std::memcpy(&low, values + key * size + d, 32);
      if (key + 1 < count) std::memcpy(&high, values + (key + 1) * size + d, 32);
      const Words pairs =
          __builtin_convertvector(low, Words) | (__builtin_convertvector(high, Words) << 16);
      std::memcpy(packed + key / 2 * size + d, &pairs, 64);
    }
  }
}

}  // namespace promptdistill::cpu::detail

#endif
