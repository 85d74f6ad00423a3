#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What a stage's scores say about how sure its choice was, known before a token is decoded.

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "promptdistill/model/forward_pass.hpp"

namespace promptdistill::examples {

/// Of the stage that was least sure, by each measure of its own.
struct SelectionSignals {
  double mass = 1;     // share of all scores that the kept tokens have
  double entropy = 0;  // of the scores as a distribution, 0 to 1: evenly over all tokens
  double cut = 0;      // the best score that was dropped, as a share of the best of all
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SelectionSignals, mass, entropy, cut)

/// A stage that scored, on the host.
struct ScoredStage {
  std::int64_t layer;
  at::Tensor positions;  // [T] int64: of the tokens in front of it, which the one before it kept
  at::Tensor scores;     // [T] float64
  at::Tensor kept;       // int64: positions of those that stayed
};

/// Those of one prompt of `tokens` tokens.
inline std::vector<ScoredStage> scored_stages(const std::vector<StageRecord>& stages,
                                              std::int64_t tokens) {
  std::vector<ScoredStage> scored;
  at::Tensor live = at::arange(tokens, at::kLong);
  for (const StageRecord& stage : stages) {
    const at::Tensor kept = stage.kept_positions.to(at::kCPU).contiguous();
    if (stage.scores.front().defined())
      scored.push_back(
          {stage.layer, live, stage.scores.front().to(at::kCPU, at::kDouble).contiguous(), kept});
    live = kept;
  }
  return scored;
}

/// Of one prompt of `tokens` tokens. Empty where nothing was scored, or by raw logits, which are no
/// shares of anything.
inline std::optional<SelectionSignals> selection_signals(const std::vector<StageRecord>& stages,
                                                         std::int64_t tokens) {
  std::optional<SelectionSignals> worst;
  for (const ScoredStage& stage : scored_stages(stages, tokens)) {
    const at::Tensor& scores = stage.scores;
    const double sum = scores.sum().item<double>();
    if (scores.min().item<double>() < 0 || !(sum > 0)) return {};
    const at::Tensor kept =
        at::zeros({scores.numel()}, at::kBool)
            .index_fill_(0, at::searchsorted(stage.positions, stage.kept), true);
    const at::Tensor share = scores / sum;
    const double mass = share.masked_select(kept).sum().item<double>(),
                 entropy = -share.xlogy(share).sum().item<double>() /
                           std::log(std::max<double>(static_cast<double>(scores.numel()), 2)),
                 cut =
                     scores.masked_fill(kept, 0).max().item<double>() / scores.max().item<double>();
    if (!worst) worst.emplace();
    worst->mass = std::min(worst->mass, mass);
    worst->entropy = std::max(worst->entropy, entropy);
    worst->cut = std::max(worst->cut, cut);
  }
  return worst;
}

}  // namespace promptdistill::examples
