#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The attention that each cached row receives, summed over queries: what SnapKV and H2O rank by.

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include "promptdistill/core/kv_cache.hpp"

namespace promptdistill::detail {

/// Attention logits held at once, about: what a CPU's caches hold, and what keeps a GPU busy. A few
/// queries are always run together.
inline constexpr std::int64_t kMassLogits = std::int64_t{1} << 22;
inline constexpr std::int64_t kMassLogitsOnGpu = std::int64_t{1} << 27;

/// m_j = sum over the queries of softmax_j(q . k / sqrt(D)), averaged over the query heads that
/// share a KV head, in float32. Each query sees the rows up to its own position and, with a sliding
/// window, above its own less `window`. Runs in blocks of queries, each over the keys that it sees
/// and no others: never N x N.
inline at::Tensor attention_mass(const at::Tensor& queries,          // [H, Tq, D]
                                 const at::Tensor& query_positions,  // [Tq] ascending
                                 const LayerCache& cache,
                                 std::optional<std::int64_t> window) {  // -> [G, rows]
  const at::Tensor positions = cache.positions(),
                   keys = cache.keys().to(at::kFloat).transpose(1, 2);
  const std::int64_t heads = queries.size(0), count = queries.size(1), size = queries.size(2),
                     groups = keys.size(0), rows = cache.rows(), shared = heads / groups;
  const at::Tensor scaled = queries.to(at::kFloat).div(std::sqrt(static_cast<double>(size)));
  // How many rows each query sees. Heads that keep different rows were cut after the prompt: what
  // is run since is their newest rows.
  const at::Tensor ends =  // [Tq]
      cache.per_head()
          ? at::arange(rows - count + 1, rows + 1, query_positions.options())
          : at::searchsorted(positions.contiguous(), query_positions.contiguous(), false, true);
  const at::Tensor host_ends = ends.to(at::kCPU).contiguous();
  const auto* end = host_ends.const_data_ptr<std::int64_t>();
  const std::int64_t block = std::max<std::int64_t>(
      (queries.is_cpu() ? kMassLogits : kMassLogitsOnGpu) / (heads * rows), 16);

  at::Tensor mass = at::zeros({groups, rows}, queries.options().dtype(at::kFloat));
  for (std::int64_t start = 0; start < count; start += block) {
    const std::int64_t length = std::min(block, count - start), seen = end[start + length - 1],
                       seen_by_all = end[start];
    const at::Tensor own = scaled.narrow(1, start, length).reshape({groups, shared * length, size});
    at::Tensor logits =
        at::bmm(own, keys.narrow(2, 0, seen)).to(at::kFloat).view({groups, shared, length, seen});
    constexpr float kHidden = -std::numeric_limits<float>::infinity();
    if (seen_by_all < seen) {
      const at::Tensor later = at::arange(seen_by_all, seen, ends.options())
                                   .ge(ends.narrow(0, start, length).unsqueeze(1));
      logits.narrow(3, seen_by_all, seen - seen_by_all).masked_fill_(later, kHidden);
    }
    if (window) {
      const at::Tensor first = query_positions.narrow(0, start, length).unsqueeze(1) - *window;
      at::Tensor left = positions.narrow(-1, 0, seen).unsqueeze(-2).le(first);  // [(G,) Tq, rows]
      logits.masked_fill_(left.dim() == 3 ? left.unsqueeze(1) : left, kHidden);
    }
    mass.narrow(1, 0, seen)
        .add_(logits.softmax(-1).view({groups, shared * length, seen}).sum(1),
              1.0 / static_cast<double>(shared));
  }
  return mass;
}

}  // namespace promptdistill::detail
