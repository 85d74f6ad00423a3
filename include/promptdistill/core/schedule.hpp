#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Where tokens are selected and how many stay: budgets, stages and the schedule that validates them
// once.

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace promptdistill {

/// Where a stage selects in its layer. Both give the same result up to rounding.
enum class Placement {
  kBefore,  // before attention: only the kept tokens pay for the rest of the layer
  kAfter,   // after the layer, as the paper's authors do
};

/// Keep this many tokens between the protected ends.
struct Count {
  std::int64_t tokens;
};

/// Keep this share, in (0, 1], of the tokens between the protected ends, rounded up.
struct Ratio {
  double share;
};

using Budget = std::variant<Count, Ratio>;

/// The number of tokens that `budget` keeps of `candidates` tokens; never more than there are.
inline std::int64_t resolve(const Budget& budget, std::int64_t candidates) {
  if (const auto* count = std::get_if<Count>(&budget)) return std::min(count->tokens, candidates);
  const double all = static_cast<double>(candidates);
  const double wanted = std::ceil(std::get<Ratio>(budget).share * all);
  return wanted < all ? static_cast<std::int64_t>(wanted) : candidates;
}

/// Select at `layer` (0-based) and keep `budget` tokens.
struct Stage {
  std::int64_t layer;
  Budget budget;
};

/// Cut the caches of every layer up to a stage's for all stages.
inline constexpr std::int64_t kTruncateAll = -1;

/// The stages of one prefill and how many of them also cut the caches before them (the paper's
/// t_t).
///
/// Validated at construction: layers ascending and distinct, budgets at least one token. What
/// depends on the model (a stage's layer must come before the last one) is checked by check_layers.
class Schedule {
 public:
  Schedule() = default;
  explicit Schedule(std::vector<Stage> stages, std::int64_t truncated_stages = 0)
      : stages_(std::move(stages)) {
    std::int64_t previous = -1;
    for (const Stage& stage : stages_) {
      TORCH_CHECK_VALUE(stage.layer >= 0,
                        "promptdistill: a stage's layer must not be negative, got ", stage.layer);
      TORCH_CHECK_VALUE(
          stage.layer > previous,
          "promptdistill: stages must be in ascending order of distinct layers, got layer ",
          stage.layer, " after layer ", previous);
      if (const auto* count = std::get_if<Count>(&stage.budget)) {
        TORCH_CHECK_VALUE(count->tokens >= 1, "promptdistill: the budget of the stage at layer ",
                          stage.layer, " must be at least 1 token, got ", count->tokens);
      } else {
        const double share = std::get<Ratio>(stage.budget).share;
        TORCH_CHECK_VALUE(share > 0 && share <= 1,
                          "promptdistill: the budget of the stage at layer ", stage.layer,
                          " must be a share above 0 and at most 1 (100%), got ", share);
      }
      previous = stage.layer;
    }
    const auto count = static_cast<std::int64_t>(stages_.size());
    truncated_ = truncated_stages == kTruncateAll ? count : truncated_stages;
    TORCH_CHECK_VALUE(truncated_ >= 0 && truncated_ <= count,
                      "promptdistill: the number of truncated stages must be between 0 and the ",
                      count, " stages, or all, got ", truncated_stages);
  }

  const std::vector<Stage>& stages() const { return stages_; }
  std::int64_t truncated_stages() const { return truncated_; }
  bool empty() const { return stages_.empty(); }

  /// The index of the stage at `layer`, if there is one.
  std::optional<std::int64_t> stage_at(std::int64_t layer) const {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      if (stages_[i].layer == layer) return static_cast<std::int64_t>(i);
    }
    return std::nullopt;
  }

  bool truncates_at(std::int64_t layer) const {
    const auto stage = stage_at(layer);
    return stage && *stage < truncated_;
  }

  /// Throws c10::IndexError unless every stage comes before the last of `layers` layers, after
  /// which nothing is saved.
  void check_layers(std::int64_t layers) const {
    for (const Stage& stage : stages_) {
      TORCH_CHECK_INDEX(stage.layer < layers,
                        "promptdistill: a stage's layer must exist: the model has layers 0 to ",
                        layers - 1, ", got ", stage.layer);
      TORCH_CHECK_INDEX(stage.layer < layers - 1,
                        "promptdistill: a stage must come before the last layer (", layers - 1,
                        "), where selecting saves nothing, got ", stage.layer);
    }
  }

 private:
  std::vector<Stage> stages_;
  std::int64_t truncated_ = 0;
};

}  // namespace promptdistill
