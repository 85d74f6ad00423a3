#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Attention of many tokens over a cache in bfloat16, each over a range of rows of its own: a chunk
// after its past, kept tokens between dropped ones, a sliding window. No mask is ever built.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numbers>
#include <span>
#include <vector>

#include "promptdistill/core/layer_cache.hpp"
#include "promptdistill/model/cpu/amx.hpp"
#include "promptdistill/model/cpu/attend_one.hpp"
#include "promptdistill/model/cpu/lanes.hpp"
#include "promptdistill/model/cpu/tile_products.hpp"

namespace promptdistill::cpu {

/// Cache rows that one query sees: [begin, end), neither empty nor beyond the cache.
struct RowRange {
  std::int64_t begin;
  std::int64_t end;
};

#if defined(__x86_64__)

namespace detail {

// One task is a block of tokens with all heads that share a KV head. It goes through the cache in
// blocks of keys, packed once for all its queries, and keeps for each query the largest score, the
// sum of powers and the weighted values so far (FlashAttention, arXiv 2205.14135).
inline constexpr std::int64_t kTokenBlock = 64;

/// The queries of a task, head after head, and what is known of them so far; rows are padded to
/// whole tiles by copies of a query.
struct TaskState {
  std::int64_t size;             // D
  std::vector<RowRange> ranges;  // [R]
  std::vector<float> largest;    // [R]
  std::vector<float> total;      // [R]
  at::Tensor queries;            // [R, D] bfloat16
  at::Tensor values;             // [R, D] float32
  at::Tensor packed_keys;        // [D / 2, kKeyBlock] pairs along D
  at::Tensor packed_values;      // [kKeyBlock / 2, D] pairs along the keys

  TaskState(std::int64_t rows, std::int64_t head_dim)
      : size(head_dim),
        ranges(static_cast<std::size_t>(rows)),
        largest(static_cast<std::size_t>(rows)),
        total(static_cast<std::size_t>(rows)),
        queries(at::empty({rows, head_dim}, at::kBFloat16)),
        values(at::empty({rows, head_dim}, at::kFloat)),
        packed_keys(at::empty({head_dim / 2, kKeyBlock}, at::kInt)),
        packed_values(at::empty({kKeyBlock / 2, head_dim}, at::kInt)) {}

  /// Rows [first, first + count) of a KV head's int8, in bfloat16; valid until the next call.
  PROMPTDISTILL_BF16 const c10::BFloat16* widened(const at::Tensor& stored,  // [G, rows, D]
                                                  const at::Tensor& scales,  // [G, rows]
                                                  std::int64_t group,
                                                  std::int64_t first,
                                                  std::int64_t count) {
    if (!wide.defined()) wide = at::empty({kKeyBlock, size}, at::kBFloat16);
    auto* const out = wide.mutable_data_ptr<c10::BFloat16>();
    const auto* const from =
        stored.const_data_ptr<std::int8_t>() + group * stored.stride(0) + first * size;
    const float* const scale = scales.const_data_ptr<float>() + group * scales.stride(0) + first;
    for (std::int64_t row = 0; row < count; ++row) {
      for (std::int64_t d = 0; d < size; d += kLanes) {
        Lanes lanes;
        load(from + row * size + d, lanes);
        lanes *= scale[row];
        store(lanes, out + row * size + d);
      }
    }
    return out;
  }

 private:
  at::Tensor wide;  // [kKeyBlock, D] bfloat16, where int8 is read
};

/// The largest of sixteen; NaN only if it stands first.
PROMPTDISTILL_INLINE float largest_of(const Lanes& lanes) {
  float largest = lanes[0];
  for (std::int64_t i = 1; i < kLanes; ++i) largest = std::max(largest, lanes[i]);
  return largest;
}

/// The larger ones; where `b` is NaN, it. (GCC 12 warns of _mm512_max_ps itself.)
PROMPTDISTILL_BF16 PROMPTDISTILL_INLINE void maximum(const Lanes& a, const Lanes& b, Lanes& out) {
  out = _mm512_maskz_max_ps(0xffff, a, b);
}

/// 2^x for x <= 0 to 6e-5 of its value, far below what rounding to bfloat16 leaves; about 1e-38
/// where it is less. NaN stays NaN.
PROMPTDISTILL_BF16 PROMPTDISTILL_INLINE void exp2(Lanes& x) {
  Lanes limited;
  maximum(Lanes{} - 126.0f, x, limited);
  const Lanes shifted = limited + 12582912.0f;  // rounds to an integer
  const Lanes r = limited - (shifted - 12582912.0f);
  Lanes p = r * 9.6181291e-3f + 5.5504109e-2f;  // (ln 2)^n / n!
  p = p * r + 2.4022651e-1f;
  p = p * r + 6.9314718e-1f;
  p = p * r + 1.0f;
  Words bits, power;
  std::memcpy(&bits, &shifted, 64);
  std::memcpy(&power, &p, 64);
  power += bits << 23;  // the integer, in shifted's low bits, to the exponent
  std::memcpy(&x, &power, 64);
}

/// One tile of queries over one packed block of keys, the rows [first, first + count).
template <class Products>
PROMPTDISTILL_BF16 void attend_tile(TaskState& state,
                                    std::int64_t row,
                                    std::int64_t first,
                                    std::int64_t count,
                                    float scale) {  // times log2(e)
  constexpr int kRows = Products::kRows;
  const RowRange* const ranges = state.ranges.data() + row;
  std::int64_t begin = ranges[0].begin, end = ranges[0].end;  // seen by any query
  std::int64_t all_begin = begin, all_end = end;              // seen by every one
  for (int r = 1; r < kRows; ++r) {
    begin = std::min(begin, ranges[r].begin);
    end = std::max(end, ranges[r].end);
    all_begin = std::max(all_begin, ranges[r].begin);
    all_end = std::min(all_end, ranges[r].end);
  }
  if (end <= first || begin >= first + count) return;
  const std::int64_t seen = std::min(count, end - first), size = state.size;
  alignas(64) float scores[kRows][kKeyBlock];
  const std::int64_t width = (seen + Products::kKeys - 1) / Products::kKeys * Products::kKeys;
  Products::score(state.queries.const_data_ptr<c10::BFloat16>() + row * size,
                  state.packed_keys.const_data_ptr<std::int32_t>(), size, width, scores[0]);
  if (all_begin > first || std::min(all_end, first + count) < first + width) {
    for (int r = 0; r < kRows; ++r) {
      const std::int64_t from = std::clamp<std::int64_t>(ranges[r].begin - first, 0, width),
                         to = std::clamp<std::int64_t>(std::min(ranges[r].end - first, count), from,
                                                       width);
      std::fill(scores[r], scores[r] + from, -std::numeric_limits<float>::infinity());
      std::fill(scores[r] + to, scores[r] + width, -std::numeric_limits<float>::infinity());
    }
  }
  alignas(64) c10::BFloat16 powers[kRows][kKeyBlock];
  float corrections[kRows];
  for (int r = 0; r < kRows; ++r) {
    Lanes best, block;
    load(scores[r], best);
    for (std::int64_t key = kLanes; key < width; key += kLanes) {
      load(scores[r] + key, block);
      maximum(best, block, best);
    }
    float& largest = state.largest[static_cast<std::size_t>(row + r)];
    const float now = std::max(largest, largest_of(best));
    // A query that has seen nothing yet: what it gathers here is wiped out by its first correction.
    const float base = now == -std::numeric_limits<float>::infinity() ? 0 : now;
    Lanes total = {};
    for (std::int64_t key = 0; key < width; key += kLanes) {
      load(scores[r] + key, block);
      block = block * scale - base * scale;
      exp2(block);
      total += block;
      const auto rounded = _mm512_cvtneps_pbh(block);
      std::memcpy(powers[r] + key, &rounded, 32);
    }
    corrections[r] = largest == now ? 1 : std::exp2((largest - base) * scale);
    float& sum_so_far = state.total[static_cast<std::size_t>(row + r)];
    sum_so_far = sum_so_far * corrections[r] + sum(total);
    largest = now;
  }
  Products::add(powers[0], state.packed_values.const_data_ptr<std::int32_t>(), size, width,
                corrections, state.values.mutable_data_ptr<float>() + row * size);
}

}  // namespace detail

#endif

/// Whether attend_many can take these on this machine.
inline bool attends_many(const at::Tensor& queries,  // [Tq, H, D]
                         std::span<const CacheRows> parts) {
#if defined(__x86_64__)
  const std::int64_t size = queries.size(2);
  static const bool machine =
      __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return machine && size % kLanes == 0 && queries.scalar_type() == at::kBFloat16 &&
         queries.stride(1) == size &&
         std::all_of(parts.begin(), parts.end(),
                     [&](const CacheRows& part) { return reads_rows(queries, part); });
#else
  return false && queries.defined() && !parts.empty();
#endif
}

#if defined(__x86_64__)
namespace detail {

template <class Products>
void attend_by(const at::Tensor& queries,
               std::span<const CacheRows> parts,
               std::span<const RowRange> ranges,
               const at::Tensor& out) {
  constexpr std::int64_t kRows = Products::kRows;
  const std::int64_t tokens = queries.size(0), heads = queries.size(1), size = queries.size(2),
                     groups = parts[0].keys.size(0), share = heads / groups,
                     blocks = (tokens + kTokenBlock - 1) / kTokenBlock;
  const auto scale = static_cast<float>(std::numbers::log2e / std::sqrt(static_cast<double>(size)));
  const auto* const q = queries.const_data_ptr<c10::BFloat16>();
  auto* const o = out.mutable_data_ptr<c10::BFloat16>();
  const std::int64_t query_stride = queries.stride(0), out_stride = out.stride(0);
  const auto run_task = [&](TaskState& state, std::int64_t task) {
    // The last tokens see most: first, so that no thread is left alone with them.
    const std::int64_t group = task % groups, block = blocks - 1 - task / groups,
                       first = block * kTokenBlock, count = std::min(kTokenBlock, tokens - first),
                       rows = share * count, padded = (rows + kRows - 1) / kRows * kRows;
    auto* const block_queries = state.queries.mutable_data_ptr<c10::BFloat16>();
    for (std::int64_t row = 0; row < padded; ++row) {
      const bool real = row < rows;
      const std::int64_t token = first + (real ? row % count : 0),
                         head = group * share + (real ? row / count : 0);
      const auto* const from = q + token * query_stride + head * size;
      std::copy(from, from + size, block_queries + row * size);
      const auto at = static_cast<std::size_t>(row);
      state.ranges[at] = real ? ranges[static_cast<std::size_t>(token)] : state.ranges[0];
      state.largest[at] = -std::numeric_limits<float>::infinity();
      state.total[at] = 0;
    }
    std::fill_n(state.values.mutable_data_ptr<float>(), padded * size, 0.0f);
    const std::int64_t begin = ranges[static_cast<std::size_t>(first)].begin,
                       end = ranges[static_cast<std::size_t>(first + count - 1)].end;
    std::int64_t start = 0;  // of the part
    for (const CacheRows& part : parts) {
      const std::int64_t last = std::min(part.rows(), end - start);
      for (std::int64_t key = std::max<std::int64_t>(begin - start, 0) / kKeyBlock * kKeyBlock;
           key < last; key += kKeyBlock) {
        const std::int64_t there = std::min(kKeyBlock, last - key);
        const auto rows_of = [&](const at::Tensor& stored, const at::Tensor& scales) {
          return part.is_int8() ? state.widened(stored, scales, group, key, there)
                                : stored.const_data_ptr<c10::BFloat16>() +
                                      group * stored.stride(0) + key * size;
        };
        pack_keys(rows_of(part.keys, part.key_scales), there, size,
                  state.packed_keys.mutable_data_ptr<std::int32_t>());
        pack_values(rows_of(part.values, part.value_scales), there, size,
                    state.packed_values.mutable_data_ptr<std::int32_t>());
        for (std::int64_t row = 0; row < padded; row += kRows)
          attend_tile<Products>(state, row, start + key, there, scale);
      }
      start += part.rows();
    }
    const float* const sums = state.values.const_data_ptr<float>();
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t token = first + row % count, head = group * share + row / count;
      const auto at = static_cast<std::size_t>(row);
      const bool blind = state.largest[at] == -std::numeric_limits<float>::infinity();
      const float total = blind ? std::numeric_limits<float>::quiet_NaN() : state.total[at];
      for (std::int64_t d = 0; d < size; ++d)
        o[token * out_stride + head * size + d] =
            static_cast<c10::BFloat16>(sums[row * size + d] / total);
    }
  };
  std::atomic<std::int64_t> next{0};
  const at::Tensor threads = at::empty({at::get_num_threads()}, at::kByte);
  parallel_for(threads, 1, [&](std::int64_t, std::int64_t) {
    const std::int64_t rows = share * std::min(kTokenBlock, tokens);
    TaskState state((rows + kRows - 1) / kRows * kRows, size);
    [[maybe_unused]] const typename Products::Session session;
    for (std::int64_t task = next++; task < groups * blocks; task = next++) run_task(state, task);
  });
}

}  // namespace detail
#endif

/// softmax(q . k / sqrt(D)) v of each token over its range of rows; products of bfloat16 are summed
/// in float32, powers rounded to bfloat16 before they weigh the values. attends_many() must hold.
/// `tiles`: by AMX where the machine has it and D is a multiple of 32.
inline void attend_many(const at::Tensor& queries,         // [Tq, H, D]
                        std::span<const CacheRows> parts,  // [G, rows, D]
                        std::span<const RowRange> ranges,  // [Tq], begins and ends ascending
                        const at::Tensor& out,             // [Tq, H * D]
                        [[maybe_unused]] bool tiles = true) {
#ifdef PROMPTDISTILL_AMX
  if (tiles && has_amx() && queries.size(2) % 32 == 0)
    return detail::attend_by<detail::AmxProducts>(queries, parts, ranges, out);
#endif
#if defined(__x86_64__)
  detail::attend_by<detail::Avx512Products>(queries, parts, ranges, out);
#endif
}

}  // namespace promptdistill::cpu
