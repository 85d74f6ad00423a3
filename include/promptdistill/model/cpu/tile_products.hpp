#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The two products of attention, a tile of queries with a packed block: by AVX-512's dot products
// of pairs and by AMX, from the same layout.

#include <cstdint>
#include <utility>

#include "promptdistill/model/cpu/amx.hpp"
#include "promptdistill/model/cpu/lanes.hpp"
#include "promptdistill/model/cpu/packed_blocks.hpp"

#if defined(__x86_64__)

namespace promptdistill::cpu::detail {

inline constexpr int kTileRows = 6;   // queries and
inline constexpr int kTileLanes = 4;  // vectors that a product keeps in AVX-512's registers

// Loops over a tile are folds: arrays indexed by constants stay in registers.
using TileRows = std::make_integer_sequence<int, kTileRows>;

template <int... t>
PROMPTDISTILL_BF16 PROMPTDISTILL_INLINE void multiply_row(Lanes* sums,
                                                          const std::int32_t* vectors,
                                                          std::int32_t pair,
                                                          std::integer_sequence<int, t...>) {
  const __m512i both = _mm512_set1_epi32(pair);
  ((sums[t] = _mm512_dpbf16_ps(sums[t], (__m512bh)_mm512_loadu_si512(vectors + t * kLanes),
                               (__m512bh)both)),
   ...);
}

/// sums[r][t] += the products of kTileRows rows with packed vectors, `depth` pairs each.
template <int kVectors, int... r>
PROMPTDISTILL_BF16 PROMPTDISTILL_INLINE void multiply_tile(const std::int32_t* rows,
                                                           std::int64_t row_stride,
                                                           const std::int32_t* packed,
                                                           std::int64_t packed_stride,
                                                           std::int64_t depth,
                                                           Lanes (&sums)[kTileRows][kVectors],
                                                           std::integer_sequence<int, r...>) {
  constexpr auto vectors = std::make_integer_sequence<int, kVectors>{};
  for (std::int64_t k = 0; k < depth; ++k) {
    (multiply_row(sums[r], packed + k * packed_stride, rows[r * row_stride + k], vectors), ...);
  }
}

/// By AVX-512's dot products of pairs.
struct Avx512Products {
  static constexpr int kRows = kTileRows;
  static constexpr std::int64_t kKeys = kLanes;  // keys come in multiples of it
  struct Session {};

  /// scores [kRows, width] of kKeyBlock = queries [kRows, D] by packed keys.
  PROMPTDISTILL_BF16 static void score(const c10::BFloat16* queries,
                                       const std::int32_t* keys,
                                       std::int64_t size,
                                       std::int64_t width,
                                       float* scores) {
    for (std::int64_t key = 0; key < width; key += kTileLanes * kLanes) {
      Lanes sums[kRows][kTileLanes] = {};
      multiply_tile(reinterpret_cast<const std::int32_t*>(queries), size / 2, keys + key, kKeyBlock,
                    size / 2, sums, TileRows{});
      for (int r = 0; r < kRows; ++r)
        for (int t = 0; t < kTileLanes; ++t)
          store(sums[r][t], scores + r * kKeyBlock + key + t * kLanes);
    }
  }

  /// values [kRows, D] = themselves times each row's correction, + powers [kRows, width] of
  /// kKeyBlock by packed values.
  PROMPTDISTILL_BF16 static void add(const c10::BFloat16* powers,
                                     const std::int32_t* packed,
                                     std::int64_t size,
                                     std::int64_t width,
                                     const float* corrections,
                                     float* values) {
    std::int64_t d = 0;
    for (; d + kTileLanes * kLanes <= size; d += kTileLanes * kLanes)
      add_vectors<kTileLanes>(powers, packed + d, size, width, corrections, values + d);
    for (; d < size; d += kLanes)
      add_vectors<1>(powers, packed + d, size, width, corrections, values + d);
  }

 private:
  template <int kVectors>
  PROMPTDISTILL_BF16 PROMPTDISTILL_INLINE static void add_vectors(const c10::BFloat16* powers,
                                                                  const std::int32_t* packed,
                                                                  std::int64_t size,
                                                                  std::int64_t width,
                                                                  const float* corrections,
                                                                  float* values) {
    Lanes sums[kRows][kVectors];
    for (int r = 0; r < kRows; ++r)
      for (int t = 0; t < kVectors; ++t) {
        load(values + r * size + t * kLanes, sums[r][t]);
        sums[r][t] *= corrections[r];
      }
    multiply_tile(reinterpret_cast<const std::int32_t*>(powers), kKeyBlock / 2, packed, size,
                  width / 2, sums, TileRows{});
    for (int r = 0; r < kRows; ++r)
      for (int t = 0; t < kVectors; ++t) store(sums[r][t], values + r * size + t * kLanes);
  }
};

#ifdef PROMPTDISTILL_AMX
/// The same by AMX, whose packed layout is the same; D in multiples of 32.
struct AmxProducts {
  static constexpr int kRows = 16;
  static constexpr std::int64_t kKeys = 32;
  using Session = TileSession;

  static void score(const c10::BFloat16* queries,
                    const std::int32_t* keys,
                    std::int64_t size,
                    std::int64_t width,
                    float* scores) {
    for (std::int64_t key = 0; key < width; key += 64)
      multiply_tiles<4, false>(queries, 2 * size, keys + key, 4 * kKeyBlock, size / 32,
                               scores + key, 4 * kKeyBlock);
  }

  PROMPTDISTILL_BF16 static void add(const c10::BFloat16* powers,
                                     const std::int32_t* packed,
                                     std::int64_t size,
                                     std::int64_t width,
                                     const float* corrections,
                                     float* values) {
    for (int r = 0; r < kRows; ++r) {
      if (corrections[r] == 1) continue;
      for (std::int64_t d = 0; d < size; d += kLanes) {
        Lanes sums;
        load(values + r * size + d, sums);
        sums *= corrections[r];
        store(sums, values + r * size + d);
      }
    }
    std::int64_t d = 0;
    for (; d + 64 <= size; d += 64)
      multiply_tiles<4, true>(powers, 2 * kKeyBlock, packed + d, 4 * size, width / 32, values + d,
                              4 * size);
    if (d < size)
      multiply_tiles<2, true>(powers, 2 * kKeyBlock, packed + d, 4 * size, width / 32, values + d,
                              4 * size);
  }
};
#endif

}  // namespace promptdistill::cpu::detail

#endif
