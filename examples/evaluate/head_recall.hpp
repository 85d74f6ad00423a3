#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// How well each head of each layer finds what a prompt hides, all from one full prefill.

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "examples/common/planted_prompt.hpp"
#include "promptdistill/core/concepts.hpp"
#include "promptdistill/model/causal_lm.hpp"
#include "promptdistill/policy/observation_window_scorer.hpp"

namespace promptdistill::examples {

/// How heads score: the attention of the last `window` queries, smoothed over `pool` tokens.
struct HeadScoring {
  std::int64_t window = 16, pool = 15;
};

namespace detail {

/// A policy that looks at every layer and drops nothing: `look` is given each probe.
template <class Look>
class EveryLayer {
 public:
  EveryLayer(std::int64_t window, Look look) : window_(window), look_(std::move(look)) {}

  void check(std::int64_t, std::int64_t) const {}
  bool selects_at(std::int64_t) const { return true; }
  bool truncates_at(std::int64_t) const { return false; }
  std::int64_t window(std::int64_t) const { return window_; }
  Selection select(const LayerProbe& probe) const {
    look_(probe);
    return {};
  }

 private:
  std::int64_t window_;
  Look look_;
};

}  // namespace detail

/// The smoothed scores of every head for the tokens before the window, as a stage would rank them.
inline at::Tensor head_scores(const LayerProbe& probe, const HeadScoring& scoring) {  // [H, T - W]
  const std::int64_t held = probe.queries.size(1), window = std::min(scoring.window, held),
                     tokens = probe.tokens();
  const LayerProbe last{probe.layer, probe.queries.narrow(1, held - window, window), probe.keys,
                        probe.query_positions.narrow(0, held - window, window), probe.positions};
  at::Tensor scores = ObservationWindowScorer(window).head_scores(last).clone();
  scores.narrow(1, tokens - window, window).zero_();
  if (scoring.pool > 1) {
    scores = at::avg_pool1d(scores.unsqueeze(0), scoring.pool, 1, scoring.pool / 2).squeeze(0);
  }
  return scores.narrow(1, 0, tokens - window);
}

/// The share of the needles' tokens among the `budget` best of each row of scores [R, T].
inline at::Tensor recall_of(const at::Tensor& scores,
                            std::int64_t budget,
                            const std::vector<TokenRange>& needles) {  // [R] float32
  at::Tensor kept = at::zeros(scores.sizes(), scores.options().dtype(at::kBool));
  kept.scatter_(1, std::get<1>(scores.topk(std::min(budget, scores.size(1)))), true);
  at::Tensor inside = at::zeros({scores.size(0)}, scores.options());
  std::int64_t all = 0;
  for (const TokenRange& range : needles) {
    const std::int64_t end = std::min(range.end, scores.size(1)),
                       count = std::max<std::int64_t>(end - range.begin, 0);
    if (count > 0) inside.add_(kept.narrow(1, range.begin, count).sum(1).to(inside.scalar_type()));
    all += range.end - range.begin;
  }
  return inside.div_(static_cast<double>(std::max<std::int64_t>(all, 1)));
}

/// Recall of the needles within `budget` tokens by every head, for each way of scoring.
inline std::vector<at::Tensor> head_recall(const CausalLm& lm,
                                           const Ids& prompt,
                                           const std::vector<TokenRange>& needles,
                                           const std::vector<HeadScoring>& scorings,
                                           std::int64_t budget,
                                           PrefillOptions options = {}) {  // of [L, H] float32
  const std::int64_t layers = lm.layers(), heads = lm.config.num_attention_heads;
  std::int64_t window = 1;
  for (const HeadScoring& scoring : scorings) window = std::max(window, scoring.window);
  window = std::min(window, std::ssize(prompt));
  std::vector<at::Tensor> recall(scorings.size());
  for (at::Tensor& each : recall) each = at::zeros({layers, heads}, at::kFloat);
  const detail::EveryLayer policy(window, [&](const LayerProbe& probe) {
    for (std::size_t s = 0; s < scorings.size(); ++s)
      recall[s][probe.layer].copy_(recall_of(head_scores(probe, scorings[s]), budget, needles));
  });
  options.placement = Placement::kBefore;
  KvCache cache = lm.make_cache();
  lm.prefill(at::tensor(prompt, at::kLong), {std::ssize(prompt)}, cache, policy, options);
  return recall;
}

}  // namespace promptdistill::examples
