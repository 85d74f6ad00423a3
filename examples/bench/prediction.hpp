#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What the planner says about a method before it is run.

#include <cstdint>
#include <optional>

#include "promptdistill/baseline/method.hpp"
#include "promptdistill/model/plan.hpp"

namespace promptdistill::examples {

/// Nothing where the planner knows no formula.
struct Prediction {
  std::optional<double> speed_up;  // of the first token over full attention, by FLOPs
  std::optional<std::int64_t> cache_bytes, peak_bytes;
};

inline Prediction predict(const ModelConfig& config,
                          PlanRequest request,
                          const MethodOptions& method) {
  const Plan full = plan_prefill(config, request);
  const auto all_of = [&](const Plan& plan) {
    return Prediction{speed_up(plan, full), plan.cache_bytes, plan.peak_bytes};
  };
  switch (method.kind) {
    case MethodKind::kFull:
      return all_of(full);
    case MethodKind::kPromptDistill:
      request.placement = method.placement;
      return all_of(plan_prefill(config, request, method.distill));
    case MethodKind::kGemFilter:
    case MethodKind::kGemFilterImproved: {
      // A prompt within the budget is read without a filter pass.
      if (request.prompt_tokens <= method.gem_filter.tokens) return all_of(full);
      return all_of(plan_gem_filter(config, request, method.gem_filter.layer,
                                    method.gem_filter.tokens,
                                    /*whole_layer=*/method.kind == MethodKind::kGemFilter));
    }
    case MethodKind::kSnapKv: {
      const std::int64_t chosen = method.snap_kv.capacity - method.snap_kv.window;
      if (chosen < 1) return {};
      return all_of(plan_snap_kv(config, request, chosen, method.snap_kv.window));
    }
    case MethodKind::kH2o:
    case MethodKind::kStreamingLlm:
    case MethodKind::kFastKv:
      break;
  }
  return {};
}

}  // namespace promptdistill::examples
