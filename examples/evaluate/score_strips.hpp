#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A stage's scores over the positions of a prompt, coarse enough for a line of the results.

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "examples/common/selection_signals.hpp"
#include "promptdistill/model/forward_pass.hpp"

namespace promptdistill::examples {

/// Of one prompt: `bins` equal parts of it, each with the highest score of its tokens, 0 for the
/// lowest of all and 100 for the highest; -1 where no token of it reached the stage.
struct ScoreStrip {
  std::int64_t layer = 0;
  std::vector<int> highest;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ScoreStrip, layer, highest)

inline constexpr std::int64_t kStripBins = 100;

/// One for every stage that scored.
inline std::vector<ScoreStrip> score_strips(const std::vector<StageRecord>& stages,
                                            std::int64_t tokens) {
  std::vector<ScoreStrip> strips;
  for (const ScoredStage& stage : scored_stages(stages, tokens)) {
    const at::Tensor& scores = stage.scores;
    const double low = scores.min().item<double>(), high = scores.max().item<double>();
    if (!(high > low) || !std::isfinite(high - low)) continue;
    ScoreStrip strip{stage.layer, std::vector<int>(static_cast<std::size_t>(kStripBins), -1)};
    for (std::int64_t t = 0; t < scores.numel(); ++t) {
      const std::int64_t bin =
          stage.positions.const_data_ptr<std::int64_t>()[t] * kStripBins / tokens;
      const double share = (scores.const_data_ptr<double>()[t] - low) / (high - low);
      int& highest = strip.highest[static_cast<std::size_t>(bin)];
      highest = std::max(highest, static_cast<int>(std::lround(100 * share)));
    }
    strips.push_back(std::move(strip));
  }
  return strips;
}

}  // namespace promptdistill::examples
