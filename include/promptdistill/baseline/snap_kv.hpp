#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// SnapKV: after a prompt, every layer and KV head keeps the rows that the prompt's end attends to.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cstdint>

#include "promptdistill/baseline/attention_mass.hpp"
#include "promptdistill/core/concepts.hpp"

namespace promptdistill {

enum class PoolKind { kAverage, kMax };

struct SnapKvOptions {
  std::int64_t capacity = 1024;  // rows per layer and KV head after the prompt, window included
  std::int64_t window = 32;      // last tokens that score and stay
  std::int64_t pool = 5;         // neighbours that scores are smoothed over, odd
  PoolKind pooling = PoolKind::kAverage;
};

/// SnapKV (arXiv 2404.14469) as a cache policy. A layer that holds more than `capacity` rows once
/// the prompt has run keeps, per KV head, the last `window` and the `capacity - window` best before
/// them by
///
///     s_j = pool(sum over the last `window` queries of softmax_j(q . k / sqrt(D)))
///
/// averaged over the query heads of the KV head, in float32. Rows added later stay. The authors
/// repeat KV heads first and choose per query head; a grouped cache cannot.
class SnapKv {
 public:
  explicit SnapKv(const SnapKvOptions& options = {}) : options_(options) {
    TORCH_CHECK_VALUE(options.window >= 1,
                      "promptdistill: SnapKV's window must be at least 1 token, got ",
                      options.window);
    TORCH_CHECK_VALUE(options.capacity >= options.window,
                      "promptdistill: SnapKV's capacity must be at least its window of ",
                      options.window, ", got ", options.capacity);
    TORCH_CHECK_VALUE(options.pool >= 1 && options.pool % 2 == 1,
                      "promptdistill: SnapKV's pooling kernel must be odd and at least 1, got ",
                      options.pool);
  }

  bool prompt_only() const { return true; }

  /// Throws c10::ValueError where a prompt that must be cut ends in a chunk shorter than the
  /// window.
  void evict(const CacheProbe& probe, LayerCache& cache) const {
    const std::int64_t rows = cache.rows(), window = options_.window, run = probe.queries.size(1);
    if (!probe.prefill || !probe.complete || rows <= options_.capacity) return;
    TORCH_CHECK_VALUE(run >= window,
                      "promptdistill: a prompt's last chunk must hold SnapKV's window of ", window,
                      " tokens, got ", run, " at layer ", probe.layer);
    const at::Tensor scores =
        detail::attention_mass(probe.queries.narrow(1, run - window, window),
                               probe.query_positions.narrow(0, run - window, window), cache,
                               probe.sliding_window)
            .narrow(1, 0, rows - window);  // [G, rows - window]
    const at::Tensor best =
        std::get<0>(std::get<1>(smooth(scores).topk(options_.capacity - window)).sort(-1));
    const at::Tensor last = at::arange(rows - window, rows, best.options());
    cache.keep(at::cat({best, last.expand({best.size(0), window})}, 1), probe.room);
  }

 private:
  at::Tensor smooth(const at::Tensor& scores) const {  // [G, T] -> [G, T]
    const std::int64_t pool = options_.pool, padding = pool / 2;
    const at::Tensor rows = scores.unsqueeze(0);
    return (options_.pooling == PoolKind::kMax ? at::max_pool1d(rows, pool, 1, padding)
                                               : at::avg_pool1d(rows, pool, 1, padding))
        .squeeze(0);
  }

  SnapKvOptions options_;
};
static_assert(CachePolicy<SnapKv>);

}  // namespace promptdistill
