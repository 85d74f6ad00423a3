#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Products of bfloat16 tiles by Intel's AMX, which Linux lends to a process that asks for it.

#include <array>
#include <cstddef>
#include <cstdint>

#include "promptdistill/model/cpu/lanes.hpp"

#if defined(__x86_64__) && defined(__linux__)
#define PROMPTDISTILL_AMX __attribute__((target("amx-tile,amx-bf16"), noinline))
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace promptdistill::cpu {

#ifdef PROMPTDISTILL_AMX

/// Whether this process has AMX's tiles and their bfloat16 products.
inline bool has_amx() {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned kBf16 = 1U << 22, kTiles = 1U << 24;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kBf16) == 0 || (d & kTiles) == 0)
      return false;
    constexpr long kRequestPermission = 0x1023, kTileData = 18;  // <asm/prctl.h>, XSAVE's component
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return has;
}

namespace detail {

/// What stands at an address is in memory: the compiler's intrinsics do not say what they read.
PROMPTDISTILL_INLINE void settle(const void* at) { asm volatile("" ::"r"(at) : "memory"); }

/// Tiles of 16 rows of 64 bytes for the thread and the time that this lives; what the thread had
/// configured before comes back, so that a matrix library beside it sees nothing.
class TileSession {
 public:
  PROMPTDISTILL_AMX TileSession() {
    _tile_storeconfig(before_.data());
    settle(before_.data());
    alignas(64) std::array<std::uint8_t, 64> tiles{1};  // the palette
    for (std::size_t tile = 0; tile < 8; ++tile) {
      tiles[16 + 2 * tile] = 64;  // bytes of a row
      tiles[48 + tile] = 16;      // rows
    }
    settle(tiles.data());
    _tile_loadconfig(tiles.data());
  }
  PROMPTDISTILL_AMX ~TileSession() {
    settle(before_.data());
    if (before_[0] == 0)
      _tile_release();
    else
      _tile_loadconfig(before_.data());
  }
  TileSession(const TileSession&) = delete;
  TileSession& operator=(const TileSession&) = delete;

 private:
  alignas(64) std::array<std::uint8_t, 64> before_{};
};

/// sums [16, kTiles * 16] = or += rows [16, steps * 32] by packed vectors [steps * 16, kTiles * 16]
/// of pairs. Strides in bytes. Within a TileSession.
template <int kTiles, bool kAdd>
PROMPTDISTILL_AMX void multiply_tiles(const void* rows,
                                      std::int64_t row_stride,
                                      const std::int32_t* packed,
                                      std::int64_t packed_stride,
                                      std::int64_t steps,
                                      float* sums,
                                      std::int64_t sum_stride) {
  static_assert(kTiles == 2 || kTiles == 4);
  settle(sums);
  if constexpr (kAdd) {
    _tile_loadd(0, sums, sum_stride);
    _tile_loadd(1, sums + 16, sum_stride);
    if constexpr (kTiles == 4) {
      _tile_loadd(2, sums + 32, sum_stride);
      _tile_loadd(3, sums + 48, sum_stride);
    }
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  const char* left = static_cast<const char*>(rows);
  const char* right = reinterpret_cast<const char*>(packed);
  for (std::int64_t step = 0; step < steps; ++step) {
    _tile_loadd(4, left, row_stride);
    _tile_loadd(5, right, packed_stride);
    _tile_dpbf16ps(0, 4, 5);
    _tile_loadd(6, right + 64, packed_stride);
    _tile_dpbf16ps(1, 4, 6);
    if constexpr (kTiles == 4) {
      _tile_loadd(5, right + 128, packed_stride);
      _tile_dpbf16ps(2, 4, 5);
      _tile_loadd(6, right + 192, packed_stride);
      _tile_dpbf16ps(3, 4, 6);
    }
    left += 64;
    right += 16 * packed_stride;
  }
  _tile_stored(0, sums, sum_stride);
  _tile_stored(1, sums + 16, sum_stride);
  if constexpr (kTiles == 4) {
    _tile_stored(2, sums + 32, sum_stride);
    _tile_stored(3, sums + 48, sum_stride);
  }
}

}  // namespace detail

#else

inline bool has_amx() { return false; }

#endif

}  // namespace promptdistill::cpu
