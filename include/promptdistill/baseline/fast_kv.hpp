#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// FastKV: hidden states are selected once in mid-model, and every layer's cache is cut as SnapKV
// does.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "promptdistill/baseline/snap_kv.hpp"
#include "promptdistill/core/concepts.hpp"
#include "promptdistill/policy/observation_window_scorer.hpp"
#include "promptdistill/policy/pooled.hpp"
#include "promptdistill/policy/top_k.hpp"

namespace promptdistill {

struct FastKvOptions {
  std::int64_t layer = 15;      // after which only the selected tokens go on
  double rate = 0.2;            // the share of tokens that go on
  std::int64_t capacity = 512;  // rows of every layer's cache after the prompt, as SnapKvOptions'
  std::int64_t window = 8;      // last tokens that score and stay, in both
  std::int64_t pool = 7;        // of both
};

/// FastKV (arXiv 2502.01068) as a distill policy, to be run with cache_policy() beside it: at
/// `layer`, floor(rate N) of N tokens go on, the last `window` among them and before these the best
/// by our observation-window scorer, smoothed. cache_policy() cuts every layer's cache per KV head.
///
/// The authors select after the layer. Placement::kBefore gives the same tokens, and is needed
/// here: afterwards the cache policy has already cut the keys that are scored.
class FastKv {
 public:
  explicit FastKv(const FastKvOptions& options = {})
      : options_(options),
        scorer_(ObservationWindowScorer(options.window), options.pool),
        cache_policy_({options.capacity, options.window, options.pool, PoolKind::kAverage}) {
    TORCH_CHECK_VALUE(options.layer >= 0,
                      "promptdistill: FastKV's layer must not be negative, got ", options.layer);
    TORCH_CHECK_VALUE(options.rate > 0 && options.rate <= 1,
                      "promptdistill: FastKV's rate must be a share above 0 and at most 1, got ",
                      options.rate);
  }

  const SnapKv& cache_policy() const { return cache_policy_; }

  /// Throws c10::IndexError unless the layer comes before the last one.
  void check(std::int64_t layers, std::int64_t) const {
    TORCH_CHECK_INDEX(options_.layer < layers - 1,
                      "promptdistill: FastKV's layer must come before the last of the layers 0 to ",
                      layers - 1, ", got ", options_.layer);
  }
  bool selects_at(std::int64_t layer) const { return layer == options_.layer; }
  bool truncates_at(std::int64_t) const { return false; }
  std::int64_t window(std::int64_t) const { return options_.window; }

  Selection select(const LayerProbe& probe) const {
    const std::int64_t tokens = probe.tokens(), tail = std::min(options_.window, tokens);
    const auto rows =
        static_cast<std::int64_t>(std::floor(options_.rate * static_cast<double>(tokens)));
    const std::int64_t best = std::max<std::int64_t>(rows - tail, 0);
    if (best + tail >= tokens) return {};
    at::Tensor scores = scorer_.score(probe);
    at::Tensor indices = TopK().select(scores, best, tail);
    return {std::move(indices), std::move(scores)};
  }

 private:
  FastKvOptions options_;
  Pooled<ObservationWindowScorer> scorer_;
  SnapKv cache_policy_;
};
static_assert(DistillPolicy<FastKv>);

}  // namespace promptdistill
