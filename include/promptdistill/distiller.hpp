#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A scorer, a selector and a schedule, put together into a policy.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <utility>

#include "promptdistill/core/concepts.hpp"
#include "promptdistill/core/schedule.hpp"
#include "promptdistill/policy/last_query_scorer.hpp"
#include "promptdistill/policy/pooled.hpp"
#include "promptdistill/policy/top_k.hpp"

namespace promptdistill {

/// PromptDistill (arXiv 2503.23274): at each stage of the schedule, score the live tokens and keep
/// the best. The defaults are the paper's scorer. An immutable value; models DistillPolicy.
template <Scorer ScorerType = Pooled<LastQueryScorer>, Selector SelectorType = TopK>
class Distiller {
 public:
  explicit Distiller(Schedule schedule,
                     ScorerType scorer = ScorerType(),
                     SelectorType selector = SelectorType())
      : schedule_(std::move(schedule)), scorer_(std::move(scorer)), selector_(std::move(selector)) {
    TORCH_CHECK_VALUE(scorer_.tail() >= 1,
                      "promptdistill: a scorer's tail must be at least 1, got ", scorer_.tail());
  }

  const Schedule& schedule() const { return schedule_; }

  void check(std::int64_t layers, std::int64_t heads) const {
    schedule_.check_layers(layers);
    scorer_.check_heads(heads);
  }
  bool selects_at(std::int64_t layer) const { return schedule_.stage_at(layer).has_value(); }
  bool truncates_at(std::int64_t layer) const { return schedule_.truncates_at(layer); }
  std::int64_t window(std::int64_t) const { return scorer_.tail(); }

  /// Throws c10::ValueError where a score is not finite. A budget that covers every candidate
  /// scores nothing.
  Selection select(const LayerProbe& probe) const {
    const auto stage = schedule_.stage_at(probe.layer);
    if (!stage) return {};
    const std::int64_t tail = scorer_.tail(),
                       candidates = selector_.candidates(probe.tokens(), tail);
    const std::int64_t k =
        resolve(schedule_.stages()[static_cast<std::size_t>(*stage)].budget, candidates);
    if (k >= candidates) return {};
    at::Tensor scores = scorer_.score(probe);
    TORCH_CHECK_VALUE(scores.dim() == 1 && scores.numel() == probe.tokens(),
                      "promptdistill: a scorer must give each of the ", probe.tokens(),
                      " tokens at layer ", probe.layer, " one score, got ", scores.sizes());
    TORCH_CHECK_VALUE(
        scores.isfinite().all().item<bool>(), "promptdistill: the scores at layer ", probe.layer,
        " must be finite, got NaN or infinity; the model's queries or keys overflow or hold NaN");
    at::Tensor indices = selector_.select(scores, k, tail);
    return {std::move(indices), std::move(scores)};
  }

 private:
  Schedule schedule_;
  ScorerType scorer_;
  SelectorType selector_;
};
static_assert(DistillPolicy<Distiller<>>);

}  // namespace promptdistill
