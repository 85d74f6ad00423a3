#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Grouped-query attention over a LayerCache: causal by stored positions, keys never expanded to the
// query heads.

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "promptdistill/core/kv_cache.hpp"
#include "promptdistill/model/cpu/attend_many.hpp"
#include "promptdistill/model/cpu/attend_one.hpp"
#include "promptdistill/model/layers.hpp"
#include "promptdistill/model/merged_attention.hpp"
#include "promptdistill/model/rope.hpp"

namespace promptdistill {

/// Where the tokens whose queries attend stand in the layer's cache.
enum class QueryRows {
  kNewest,        ///< They are its newest rows, in order: just appended.
  kLastIsNewest,  ///< The last one is its newest row, the others are any older ones.
  kAny,
};

namespace detail {

/// Queries handled at once where a mask is needed, so that no mask exceeds kQueryBlock x rows.
inline constexpr std::int64_t kQueryBlock = 256;

inline at::Tensor grouped_sdpa(const at::Tensor& queries,  // [H, Tq, D]
                               const at::Tensor& keys,     // [G, rows, D]
                               const at::Tensor& values,
                               const std::optional<at::Tensor>& mask,
                               bool causal) {  // -> [H, Tq, D]
  const std::int64_t groups = keys.size(0), shared = queries.size(0) / groups,
                     count = queries.size(1);
  if (mask && shared > 1 && !queries.is_cpu()) {
    // Kernels that take a mask want as many KV heads as query heads there: the queries that share
    // one go through as one longer row of queries. (Keys expanded to the query heads, a view with
    // strides of 0, are read wrongly by LibTorch 2.11 where Tq % 64 is 1.)
    const auto folded = [&](const at::Tensor& x) {
      return x.reshape({1, groups, shared * count, x.size(-1)});
    };
    const at::Tensor own =
        mask->dim() == 2
            ? mask->expand({shared, count, -1}).reshape({shared * count, mask->size(1)})
            : folded(*mask);
    return at::scaled_dot_product_attention(folded(queries), keys.unsqueeze(0), values.unsqueeze(0),
                                            own)
        .reshape(queries.sizes());
  }
  return at::scaled_dot_product_attention(queries.unsqueeze(0), keys.unsqueeze(0),
                                          values.unsqueeze(0), mask, 0.0, causal, std::nullopt,
                                          /*enable_gqa=*/queries.size(0) != keys.size(0))
      .squeeze(0);
}

/// Whether LibTorch has a kernel there that needs no mask and no repeated keys.
inline bool has_causal_kernel(const at::Tensor& queries, const at::Tensor& keys) {
  return queries.is_cpu() || queries.size(0) == keys.size(0) ||
         c10::isReducedFloatingType(queries.scalar_type());
}

/// The rows that each query sees by its position.
inline std::vector<cpu::RowRange> seen_rows(const at::Tensor& query_positions,  // [Tq] ascending
                                            const at::Tensor& positions,        // [rows] ascending
                                            std::optional<std::int64_t> window) {
  const at::Tensor own = query_positions.to(at::kCPU).contiguous(),
                   theirs = positions.to(at::kCPU).contiguous();
  const auto* const query = own.const_data_ptr<std::int64_t>();
  const auto* const row = theirs.const_data_ptr<std::int64_t>();
  std::vector<cpu::RowRange> ranges;
  ranges.reserve(static_cast<std::size_t>(own.numel()));
  std::int64_t begin = 0, end = 0;
  for (std::int64_t i = 0; i < own.numel(); ++i) {
    while (end < theirs.numel() && row[end] <= query[i]) ++end;
    while (window && row[begin] <= query[i] - *window) ++begin;
    ranges.push_back({begin, end});
  }
  return ranges;
}

/// The same for the newest rows without a window, where no position need be read: on an accelerator
/// that would wait for it in every layer.
inline std::vector<cpu::RowRange> seen_by_newest(std::int64_t count, std::int64_t rows) {
  std::vector<cpu::RowRange> ranges;
  for (std::int64_t end = rows - count + 1; end <= rows; ++end) ranges.push_back({0, end});
  return ranges;
}

/// The parts without their first `count` rows.
inline std::vector<CacheRows> without_first(std::span<const CacheRows> parts, std::int64_t count) {
  std::vector<CacheRows> rest;
  for (const CacheRows& part : parts) {
    const std::int64_t gone = std::min(count, part.rows()), left = part.rows() - gone;
    count -= gone;
    if (left > 0) rest.push_back(part.narrow(gone, left));
  }
  return rest;
}

/// The parts with the last `count` rows as a part of their own; all of them are in the last one.
inline std::vector<CacheRows> with_last_split(std::vector<CacheRows> parts, std::int64_t count) {
  const CacheRows last = parts.back();
  const std::int64_t before = last.rows() - count;
  if (before == 0) return parts;
  parts.back() = last.narrow(0, before);
  parts.push_back(last.narrow(before, count));
  return parts;
}

/// Keys or values of all parts, [G, rows, D]: a copy unless there is only one of this dtype.
inline at::Tensor joined(std::span<const CacheRows> parts,
                         at::Tensor CacheRows::*of,
                         at::ScalarType dtype) {
  std::vector<at::Tensor> pieces;
  for (const CacheRows& part : parts) pieces.push_back(part.get(of, dtype));
  return pieces.size() == 1 ? pieces[0] : at::cat(pieces, 1);
}

}  // namespace detail

/// softmax(q . k / sqrt(D)) v of one row over its cache; query i sees the rows whose position is at
/// most its own and, with a sliding window, above its own less `window`. The queries' own keys must
/// be in the cache already, at the rows that `standing` says.
inline at::Tensor attend(const at::Tensor& queries,          // [H, Tq, D]
                         const at::Tensor& query_positions,  // [Tq] ascending
                         const LayerCache& cache,
                         std::optional<std::int64_t> window,
                         QueryRows standing) {  // -> [Tq, H * D]
  const std::vector<CacheRows> parts = cache.parts();
  // Joined from the parts only where they are looked at.
  const auto positions = [&cache] { return cache.positions(); };
  const std::int64_t heads = queries.size(0), count = queries.size(1), size = queries.size(2),
                     groups = parts[0].keys.size(0), rows = cache.rows();
  const bool shared = !cache.per_head();
  // A window that reaches from the last query to the oldest row hides nothing from anyone.
  const std::int64_t width = window.value_or(0);
  const bool narrow =
      width > 0 && (query_positions[-1] - positions().min()).item<std::int64_t>() >= width;
  if (count == 1 && standing != QueryRows::kAny && (!narrow || shared)) {
    // The newest token sees every row of its window: the queries that share a KV head go through as
    // one block, and the cache is read once.
    const std::vector<CacheRows> seen =
        narrow ? detail::without_first(
                     parts, positions().le(query_positions - width).sum().item<std::int64_t>())
               : parts;
    if (cpu::attends_one(queries.select(1, 0), seen)) {
      at::Tensor out = at::empty({1, heads * size}, queries.options());
      cpu::call_for(queries.scalar_type(),
                    [&]<class T>() { cpu::attend_one<T>(queries.select(1, 0), seen, out[0]); });
      return out;
    }
    const at::Tensor folded = queries.reshape({groups, heads / groups, size});
    // The kernel that LibTorch would choose may be made anew for every number of rows.
    if (!queries.is_cpu() || seen.size() > 1) {
      if (const auto merged = detail::attend_merged(folded, seen, false))
        return merged->reshape({1, heads * size});
    }
    const auto all = [&](at::Tensor CacheRows::*of) {
      return detail::joined(seen, of, queries.scalar_type());
    };
    return detail::grouped_sdpa(folded, all(&CacheRows::keys), all(&CacheRows::values),
                                std::nullopt, false)
        .reshape({1, heads * size});
  }
  const auto seen = [&] {
    return standing == QueryRows::kNewest && !narrow
               ? detail::seen_by_newest(count, rows)
               : detail::seen_rows(query_positions, positions(), narrow ? window : std::nullopt);
  };
  if (shared && cpu::attends_many(queries.transpose(0, 1), parts)) {
    at::Tensor out = at::empty({count, heads * size}, queries.options());
    cpu::attend_many(queries.transpose(0, 1), parts, seen(), out);
    return out;
  }
  if (count == rows && !narrow && parts.size() == 1 &&
      detail::has_causal_kernel(
          queries, parts[0].keys)) {  // every row is one of the queries' own: the causal triangle
    return detail::grouped_sdpa(queries, parts[0].keys, parts[0].values, std::nullopt, true)
        .transpose(0, 1)
        .reshape({count, heads * size});
  }
  if (shared && !narrow && count < rows && standing == QueryRows::kNewest &&
      parts.back().rows() >= count) {
    if (const auto merged =
            detail::attend_merged(queries, detail::with_last_split(parts, count), true))
      return merged->transpose(0, 1).reshape({count, heads * size});
  }
  const at::Tensor keys = detail::joined(parts, &CacheRows::keys, queries.scalar_type()),
                   values = detail::joined(parts, &CacheRows::values, queries.scalar_type());
  const at::Tensor all_positions = positions();
  // An accelerator's positions are not waited for where they only save work.
  const bool ranged = shared && (queries.is_cpu() || narrow || standing == QueryRows::kNewest);
  const std::vector<cpu::RowRange> ranges =
      ranged ? seen() : std::vector(static_cast<std::size_t>(count), cpu::RowRange{0, rows});
  const std::int64_t block = queries.is_cpu()
                                 ? detail::kQueryBlock
                                 : std::max<std::int64_t>(detail::kQueryBlock * groups / heads, 1);
  std::vector<at::Tensor> blocks;
  for (std::int64_t start = 0; start < count; start += block) {
    const std::int64_t length = std::min(block, count - start);
    const std::int64_t first = ranges[static_cast<std::size_t>(start)].begin;
    const std::int64_t there = ranges[static_cast<std::size_t>(start + length - 1)].end - first;
    const at::Tensor own = query_positions.narrow(0, start, length).unsqueeze(1);
    const at::Tensor theirs = all_positions.narrow(-1, first, there).unsqueeze(-2);
    at::Tensor mask = theirs.le(own);  // [Tq, rows] or [G, Tq, rows]
    if (narrow) mask.logical_and_(theirs.gt(own - width));
    if (mask.dim() == 3) mask = mask.repeat_interleave(heads / groups, 0).unsqueeze(0);
    blocks.push_back(detail::grouped_sdpa(queries.narrow(1, start, length),
                                          keys.narrow(1, first, there),
                                          values.narrow(1, first, there), mask, false)
                         .transpose(0, 1)
                         .reshape({length, heads * size}));
  }
  return blocks.size() == 1 ? blocks.front() : at::cat(blocks);
}

/// The projections of a self-attention block; members are named as the checkpoint names them. Where
/// it fuses Q, K and V they are views of its one tensor.
struct Attention {
  Linear q_proj, k_proj, v_proj, o_proj;
  std::optional<RmsNorm> q_norm, k_norm;  // over each head's D
  std::int64_t head_dim = 0;
  std::optional<std::int64_t> sliding_window;  // tokens

  /// Rotated queries of the tokens whose normed hidden states and angles are given.
  at::Tensor queries(const at::Tensor& x,
                     const RotaryAngles& angles) const {  // [S, E] -> [S, H, D]
    return angles.rotate_(normed(heads(q_proj(x)), q_norm));
  }
  at::Tensor keys(const at::Tensor& x, const RotaryAngles& angles) const {  // [S, E] -> [S, G, D]
    return angles.rotate_(normed(heads(k_proj(x)), k_norm));
  }
  at::Tensor values(const at::Tensor& x) const { return heads(v_proj(x)); }  // [S, E] -> [S, G, D]

 private:
  at::Tensor heads(const at::Tensor& x) const { return x.view({x.size(0), -1, head_dim}); }
  static at::Tensor normed(const at::Tensor& x, const std::optional<RmsNorm>& norm) {
    return norm ? (*norm)(x) : x;
  }
};

}  // namespace promptdistill
