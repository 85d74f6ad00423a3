#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// H2O: every layer and KV head keeps its newest rows and those that were attended to most.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <map>
#include <utility>

#include "promptdistill/baseline/attention_mass.hpp"
#include "promptdistill/core/concepts.hpp"

namespace promptdistill {

struct H2oOptions {
  std::int64_t heavy = 512;   // most attended rows that stay, per layer and KV head
  std::int64_t recent = 512;  // newest rows that stay
};

/// H2O, the heavy-hitter oracle (arXiv 2306.14048), as a cache policy. Each row's attention
///
///     s_j = sum over all queries so far of softmax_j(q . k / sqrt(D))
///
/// averaged over the query heads of a KV head, is accumulated in float32 in prefill and decode.
/// Whenever a layer holds more than `heavy + recent` rows once a prompt or a step is complete, the
/// last `recent` and the `heavy` best before them stay. An evicted row loses its sum.
///
/// The sums are the state of a request, one per row and layer: use one object per KvCache. A fresh
/// prefill starts them anew; where one was aborted, take a new object.
class H2o {
 public:
  explicit H2o(const H2oOptions& options = {}) : options_(options) {
    TORCH_CHECK_VALUE(options.heavy >= 1 && options.recent >= 1,
                      "promptdistill: H2O's heavy and recent rows must be at least 1, got ",
                      options.heavy, " and ", options.recent);
  }

  /// Throws c10::ValueError where it has not seen all that the cache holds.
  void evict(const CacheProbe& probe, LayerCache& cache) {
    State& state = states_[{probe.row, probe.layer}];
    const std::int64_t rows = cache.rows(), run = probe.queries.size(1);
    const bool first =
        probe.prefill && (state.prefilled || rows == run ||
                          (state.sums.defined() &&
                           probe.query_positions[0].item<std::int64_t>() <= state.last_position));
    if (first) state = {};
    const std::int64_t known = state.sums.defined() ? state.sums.size(1) : 0;
    TORCH_CHECK_VALUE(probe.prefill ? known <= rows : known + run == rows,
                      "promptdistill: H2O must see all that is run over a cache and be alone in "
                      "evicting from it: it knows ",
                      known, " rows of layer ", probe.layer, ", the cache held ", rows - run);
    at::Tensor sums = detail::attention_mass(probe.queries, probe.query_positions, cache,
                                             probe.sliding_window);  // [G, rows]
    if (known > 0) sums.narrow(1, 0, known).add_(state.sums);
    state = {std::move(sums), probe.query_positions[-1].item<std::int64_t>(), probe.complete};
    if (probe.complete) cut(probe.row, probe.layer, cache, probe.room);
  }

  /// The request so far under other options: for several settings that share a prompt, from one
  /// with rows for all of it. cut() then evicts what evict() would have after the prompt.
  H2o with(const H2oOptions& options) const {
    H2o other(options);
    other.states_ = states_;
    return other;
  }

  /// Evicts from a row's cache of one layer by the sums so far; `room` as LayerCache::keep's.
  void cut(std::int64_t row, std::int64_t layer, LayerCache& cache, std::int64_t room) {
    State& state = states_.at({row, layer});
    const std::int64_t rows = cache.rows(), old = rows - options_.recent;
    if (rows <= options_.heavy + options_.recent) return;
    const at::Tensor best =
        std::get<0>(std::get<1>(state.sums.narrow(1, 0, old).topk(options_.heavy)).sort(-1));
    const at::Tensor newest = at::arange(old, rows, best.options());
    const at::Tensor kept = at::cat({best, newest.expand({best.size(0), options_.recent})}, 1);
    cache.keep(kept, room);
    state.sums = state.sums.gather(1, kept);
  }

 private:
  struct State {
    at::Tensor sums;                 // [G, rows] float32
    std::int64_t last_position = 0;  // of the queries in it
    bool prefilled = false;          // a whole prompt is in it
  };

  H2oOptions options_;
  std::map<std::pair<std::int64_t, std::int64_t>, State> states_;  // by row and layer
};
static_assert(CachePolicy<H2o>);

}  // namespace promptdistill
