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
#include <utility>
#include <vector>

#include "promptdistill/core/kv_cache.hpp"
#include "promptdistill/model/layers.hpp"
#include "promptdistill/model/rope.hpp"

namespace promptdistill {

namespace detail {

/// Queries handled at once where a mask is needed, so that no mask exceeds kQueryBlock x rows.
inline constexpr std::int64_t kQueryBlock = 256;

inline at::Tensor grouped_sdpa(const at::Tensor& queries,  // [H, Tq, D]
                               const at::Tensor& keys,     // [G, rows, D]
                               const at::Tensor& values,
                               const std::optional<at::Tensor>& mask,
                               bool causal) {  // -> [H, Tq, D]
  return at::scaled_dot_product_attention(queries.unsqueeze(0), keys.unsqueeze(0),
                                          values.unsqueeze(0), mask, 0.0, causal, std::nullopt,
                                          /*enable_gqa=*/queries.size(0) != keys.size(0))
      .squeeze(0);
}

}  // namespace detail

/// softmax(q . k / sqrt(D)) v of one row over its cache; query i sees the rows whose position is at
/// most its own. The queries' own keys must be in the cache already, the last query's as its newest
/// row (a policy keeps the last token, so that a single query is the newest and sees everything).
inline at::Tensor attend(const at::Tensor& queries,          // [H, Tq, D]
                         const at::Tensor& query_positions,  // [Tq] ascending
                         const LayerCache& cache) {          // -> [Tq, H * D]
  const at::Tensor keys = cache.keys(), values = cache.values();
  const std::int64_t heads = queries.size(0), count = queries.size(1), size = queries.size(2),
                     groups = keys.size(0);
  if (count == 1) {
    // The newest token sees every row: the queries that share a KV head go through as one block,
    // and the cache is read once.
    const at::Tensor folded = queries.reshape({groups, heads / groups, size});
    return detail::grouped_sdpa(folded, keys, values, std::nullopt, false)
        .reshape({1, heads * size});
  }
  if (count == cache.rows()) {  // every row is one of the queries' own: the plain causal triangle
    return detail::grouped_sdpa(queries, keys, values, std::nullopt, true)
        .transpose(0, 1)
        .reshape({count, heads * size});
  }
  const at::Tensor positions = cache.positions();
  at::Tensor visible;  // [Tq] on the host: how many leading rows each query sees
  if (!cache.per_head())
    visible = at::searchsorted(positions.contiguous(), query_positions.contiguous(), false, true)
                  .to(at::kCPU);
  std::vector<at::Tensor> blocks;
  for (std::int64_t start = 0; start < count; start += detail::kQueryBlock) {
    const std::int64_t length = std::min(detail::kQueryBlock, count - start);
    const std::int64_t rows =
        visible.defined() ? visible[start + length - 1].item<std::int64_t>() : cache.rows();
    const at::Tensor block_positions = query_positions.narrow(0, start, length).unsqueeze(1);
    at::Tensor mask = positions.narrow(-1, 0, rows)
                          .unsqueeze(-2)
                          .le(block_positions);  // [Tq, rows] or [G, Tq, rows]
    if (mask.dim() == 3) mask = mask.repeat_interleave(heads / groups, 0).unsqueeze(0);
    blocks.push_back(detail::grouped_sdpa(queries.narrow(1, start, length), keys.narrow(1, 0, rows),
                                          values.narrow(1, 0, rows), mask, false)
                         .transpose(0, 1)
                         .reshape({length, heads * size}));
  }
  return blocks.size() == 1 ? blocks.front() : at::cat(blocks);
}

/// The projections of a self-attention block; members are named as the checkpoint names them.
struct Attention {
  Linear q_proj, k_proj, v_proj, o_proj;
  std::int64_t head_dim = 0;

  /// Rotated queries of the tokens whose normed hidden states and angles are given.
  at::Tensor queries(const at::Tensor& x,
                     const RotaryAngles& angles) const {  // [S, E] -> [S, H, D]
    return angles.rotate(heads(q_proj(x)));
  }
  at::Tensor keys(const at::Tensor& x, const RotaryAngles& angles) const {  // [S, E] -> [S, G, D]
    return angles.rotate(heads(k_proj(x)));
  }
  at::Tensor values(const at::Tensor& x) const { return heads(v_proj(x)); }  // [S, E] -> [S, G, D]

 private:
  at::Tensor heads(const at::Tensor& x) const { return x.view({x.size(0), -1, head_dim}); }
};

}  // namespace promptdistill
