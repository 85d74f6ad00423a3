#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Attention of one token over a cache, which is read once, by all threads.

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include "promptdistill/core/layer_cache.hpp"
#include "promptdistill/model/cpu/lanes.hpp"

namespace promptdistill::cpu {

inline constexpr std::int64_t kRowBlock = 256;  // cache rows of one task; their scores stay in L1
inline constexpr std::int64_t kMaxHeadDim = 256;

/// What one task leaves: for each of its queries the largest score, the sum of the others' powers
/// relative to it, and the values weighted by them.
struct PartialAttention {
  float* largest;  // [R]
  float* total;    // [R]
  float* values;   // [R, D]
};

/// What one task reads: rows of a cache, with the scale of each where they are int8.
template <class T>
struct BlockRows {
  const T* keys;              // [rows, D]
  const T* values;            // [rows, D]
  const float* key_scales;    // [rows], or none
  const float* value_scales;  // [rows], or none
  std::int64_t rows;
};

/// `kQueries` queries that share a KV head over a block of its cache.
template <int kQueries, class T>
PROMPTDISTILL_INLINE void attend_block(const float* queries,  // [R, D]
                                       float scale,
                                       const BlockRows<T>& block_rows,
                                       std::int64_t size,
                                       PartialAttention out) {
  const T* const keys = block_rows.keys;
  const T* const values = block_rows.values;
  const std::int64_t rows = block_rows.rows;
  constexpr std::int64_t kAhead = 4096 / sizeof(T);  // elements to ask for before they are read
  Lanes scores[kQueries][kRowBlock / kLanes];
  Lanes best[kQueries];
  for (int r = 0; r < kQueries; ++r) best[r] = Lanes{} - std::numeric_limits<float>::infinity();
  for (std::int64_t first = 0; first < rows; first += kLanes) {
    const std::int64_t count = std::min(kLanes, rows - first);
    Lanes products[kQueries][kLanes];
    for (std::int64_t row = 0; row < count; ++row) {
      const T* const key = keys + (first + row) * size;
      Lanes sums[kQueries] = {};
      for (std::int64_t d = 0; d < size; d += kLanes) {
        Lanes k;
        load(key + d, k);
        if (d * static_cast<std::int64_t>(sizeof(T)) % 64 == 0) prefetch(key + d + kAhead);
        unrolled<kQueries>([&](auto r) __attribute__((always_inline)) {
          Lanes q;
          load(queries + r * size + d, q);
          sums[r] += q * k;
        });
      }
      unrolled<kQueries>([&](auto r)
                             __attribute__((always_inline)) { products[r][row] = sums[r]; });
    }
    for (int r = 0; r < kQueries; ++r) {
      for (std::int64_t row = count; row < kLanes; ++row) products[r][row] = Lanes{};
      Lanes& block = scores[r][first / kLanes];
      sum_each(products[r], block);
      block *= scale;
      if constexpr (std::is_same_v<T, std::int8_t>) {
        Lanes scales;
        load_some(block_rows.key_scales + first, count, scales);
        block *= scales;
      }
      for (std::int64_t row = count; row < kLanes; ++row)
        block[row] = -std::numeric_limits<float>::infinity();
      best[r] = block > best[r] ? block : best[r];
    }
  }
  const std::int64_t blocks = (rows + kLanes - 1) / kLanes;
  for (int r = 0; r < kQueries; ++r) {
    float largest = best[r][0];
    for (std::int64_t i = 1; i < kLanes; ++i) largest = std::max(largest, best[r][i]);
    // A block that the query cannot see at all weighs nothing beside one that it sees.
    const float base = largest == -std::numeric_limits<float>::infinity() ? 0 : largest;
    Lanes total = {};
    for (std::int64_t b = 0; b < blocks; ++b) {
      scores[r][b] -= base;
      exp(scores[r][b]);
      total += scores[r][b];
    }
    out.largest[r] = largest;
    out.total[r] = sum(total);
    if constexpr (std::is_same_v<T, std::int8_t>) {
      for (std::int64_t b = 0; b < blocks; ++b) {
        Lanes scales;
        load_some(block_rows.value_scales + b * kLanes, std::min(kLanes, rows - b * kLanes),
                  scales);
        scores[r][b] *= scales;
      }
    }
  }
  const auto weights = [&](int r) __attribute__((always_inline)) {
    return reinterpret_cast<const float*>(scores[r]);
  };
  const auto add_rows = [&]<int kTile>(std::int64_t d) __attribute__((always_inline)) {
    Lanes sums[kQueries][kTile] = {};
    for (std::int64_t row = 0; row < rows; ++row) {
      unrolled<kTile>([&](auto t) __attribute__((always_inline)) {
        const T* const value = values + row * size + d + t * kLanes;
        Lanes v;
        load(value, v);
        if constexpr (t * kLanes * sizeof(T) % 64 == 0) prefetch(value + kAhead);
        unrolled<kQueries>([&](auto r) __attribute__((always_inline)) {
          sums[r][t] += weights(r)[row] * v;
        });
      });
    }
    unrolled<kQueries>([&](auto r) __attribute__((always_inline)) {
      unrolled<kTile>([&](auto t) __attribute__((always_inline)) {
        store(sums[r][t], out.values + r * size + d + t * kLanes);
      });
    });
  };
  std::int64_t d = 0;
  for (; d + 4 * kLanes <= size; d += 4 * kLanes) add_rows.template operator()<4>(d);
  for (; d < size; d += kLanes) add_rows.template operator()<1>(d);
}

/// Whether the kernels can read a part for such queries, [.., D]: it is of their dtype or in int8.
inline bool reads_rows(const at::Tensor& queries, const CacheRows& part) {
  const std::int64_t size = queries.size(-1);
  const bool dense = part.keys.stride(1) == size && part.values.stride(1) == size;
  if (!part.is_int8()) return dense && readable(queries, part.keys, part.values);
  return dense && readable(queries) && part.keys.is_cpu() && part.keys.stride(2) == 1 &&
         part.values.stride(2) == 1 && part.key_scales.stride(1) == 1 &&
         part.value_scales.stride(1) == 1;
}

/// Whether attend_one can take these.
inline bool attends_one(const at::Tensor& queries,  // [H, D]
                        std::span<const CacheRows> parts) {
  const std::int64_t size = queries.size(1);
  return size % kLanes == 0 && size <= kMaxHeadDim &&
         std::all_of(parts.begin(), parts.end(),
                     [&](const CacheRows& part) { return reads_rows(queries, part); });
}

/// softmax(q . k / sqrt(D)) v for one token that sees every row, in float32 and rounded once. A
/// cache in parts gives what it gives whole, but for the order of sums. attends_one() must hold.
template <class T>
void attend_one(const at::Tensor& queries,         // [H, D]
                std::span<const CacheRows> parts,  // [G, rows, D]
                const at::Tensor& out) {           // [H * D]
  struct Block {
    const CacheRows* part;
    std::int64_t first;
    std::int64_t rows;
  };
  const std::int64_t heads = queries.size(0), size = queries.size(1),
                     groups = parts[0].keys.size(0), share = heads / groups;
  std::vector<Block> table;
  for (const CacheRows& part : parts) {
    for (std::int64_t first = 0; first < part.rows(); first += kRowBlock)
      table.push_back({&part, first, std::min(kRowBlock, part.rows() - first)});
  }
  const auto blocks = static_cast<std::int64_t>(table.size());
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(size)));
  const at::Tensor wide = queries.to(at::kFloat).contiguous();
  const at::Tensor partial = at::empty({groups * blocks, share, size + 2}, wide.options());
  const float* const q = wide.const_data_ptr<float>();
  float* const partials = partial.mutable_data_ptr<float>();
  const std::int64_t partial_size = share * (size + 2);
  parallel_for(
      partial.select(2, 0).select(1, 0),
      1, [&](std::int64_t begin, std::int64_t end) __attribute__((always_inline)) {
        for (std::int64_t task = begin; task < end; ++task) {
          const std::int64_t group = task / blocks;
          const Block& block = table[static_cast<std::size_t>(task % blocks)];
          const CacheRows& part = *block.part;
          const auto rows_as = [&]<class E>() __attribute__((always_inline)) {
            const auto at = [&](const at::Tensor& tensor) __attribute__((always_inline)) {
              return tensor.const_data_ptr<E>() + group * tensor.stride(0) + block.first * size;
            };
            const auto scales = [&](const at::Tensor& tensor) __attribute__((always_inline)) {
              return part.is_int8()
                         ? tensor.const_data_ptr<float>() + group * tensor.stride(0) + block.first
                         : nullptr;
            };
            return BlockRows<E>{at(part.keys), at(part.values), scales(part.key_scales),
                                scales(part.value_scales), block.rows};
          };
          float* const largest = partials + task * partial_size;
          const auto run = [&](const auto& rows) __attribute__((always_inline)) {
            const auto of = [&]<int kQueries>(std::int64_t head) __attribute__((always_inline)) {
              attend_block<kQueries>(
                  q + (group * share + head) * size, scale, rows, size,
                  {largest + head, largest + share + head, largest + 2 * share + head * size});
            };
            std::int64_t head = 0;
            for (; head + 4 <= share; head += 4) of.template operator()<4>(head);
            if (share - head == 3) of.template operator()<3>(head);
            if (share - head == 2) of.template operator()<2>(head);
            if (share - head == 1) of.template operator()<1>(head);
          };
          if (part.is_int8())
            run(rows_as.template operator()<std::int8_t>());
          else
            run(rows_as.template operator()<T>());
        }
      });
  T* const output = out.mutable_data_ptr<T>();
  detail::run_wide([&]() __attribute__((always_inline)) {
    for (std::int64_t head = 0; head < heads; ++head) {
      const float* const first = partials + head / share * blocks * partial_size;
      const std::int64_t own = head % share;
      float largest = first[own];
      for (std::int64_t block = 1; block < blocks; ++block)
        largest = std::max(largest, first[block * partial_size + own]);
      float total = 0;
      Lanes sums[kMaxHeadDim / kLanes] = {};
      for (std::int64_t block = 0; block < blocks; ++block) {
        const float* const part = first + block * partial_size;
        const float weight = std::exp(part[own] - largest);
        total += weight * part[share + own];
        for (std::int64_t d = 0; d < size; d += kLanes) {
          Lanes value;
          load(part + 2 * share + own * size + d, value);
          sums[d / kLanes] += weight * value;
        }
      }
      for (std::int64_t d = 0; d < size; d += kLanes) {
        sums[d / kLanes] /= total;
        store(sums[d / kLanes], output + head * size + d);
      }
    }
  });
}

}  // namespace promptdistill::cpu
