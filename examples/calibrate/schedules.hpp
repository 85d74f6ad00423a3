#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Schedules worth trying: those that keep most of the needles for the time they take on paper.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "examples/calibrate/head_search.hpp"
#include "promptdistill/baseline/method_text.hpp"
#include "promptdistill/model/plan.hpp"
#include "promptdistill/options.hpp"

namespace promptdistill::examples {

struct Candidate {
  DistillOptions options;
  double recall = 0;    // of the needles' tokens that every stage keeps, a prompt's mean
  double speed_up = 1;  // of the longest prompt's prefill, by FLOPs
};

namespace detail {

/// All ways to take `count` of `values`, in their order.
template <class Value>
std::vector<std::vector<Value>> combinations(const std::vector<Value>& values, std::size_t count) {
  std::vector<std::vector<Value>> out;
  std::vector<bool> chosen(values.size());
  if (count > values.size()) return out;
  std::fill_n(chosen.begin(), count, true);
  do {
    std::vector<Value> some;
    for (std::size_t i = 0; i < values.size(); ++i)
      if (chosen[i]) some.push_back(values[i]);
    out.push_back(std::move(some));
  } while (std::prev_permutation(chosen.begin(), chosen.end()));
  return out;
}

/// The layers with the best heads, ascending.
inline std::vector<std::int64_t> best_layers(const ScoringResult& result, std::size_t count) {
  std::vector<std::int64_t> layers(result.layers.size());
  std::iota(layers.begin(), layers.end(), 0);
  std::stable_sort(layers.begin(), layers.end(), [&](std::int64_t a, std::int64_t b) {
    return result.layers[static_cast<std::size_t>(a)].quality >
           result.layers[static_cast<std::size_t>(b)].quality;
  });
  layers.resize(std::min(count, layers.size()));
  std::sort(layers.begin(), layers.end());
  return layers;
}

/// What `result` says of stages at these layers with these budgets.
inline double joint_recall(const ScoringResult& result,
                           const std::vector<std::int64_t>& layers,
                           const std::vector<std::int64_t>& budgets) {
  const std::size_t prompts = result.layers.front().ranks.size();
  double sum = 0;
  for (std::size_t p = 0; p < prompts; ++p) {
    at::Tensor kept;
    for (std::size_t s = 0; s < layers.size(); ++s) {
      const at::Tensor here =
          result.layers[static_cast<std::size_t>(layers[s])].ranks[p].lt(budgets[s]);
      kept = kept.defined() ? kept.logical_and(here) : here;
    }
    sum += kept.to(at::kDouble).mean().item<double>();
  }
  return sum / static_cast<double>(prompts);
}

}  // namespace detail

/// For one, two and three stages and each of some speed-ups of a prompt of `longest` tokens, the
/// schedule that keeps most of the needles; each once, the slowest first. Budgets fall from stage
/// to stage.
inline std::vector<Candidate> candidate_schedules(const ModelConfig& config,
                                                  at::ScalarType dtype,
                                                  std::int64_t longest,
                                                  const std::vector<ScoringResult>& results) {
  static constexpr std::int64_t kProtectFirst = 4;
  const std::vector<std::int64_t> budgets{2048, 1024, 512, 256, 128};
  const std::vector<std::vector<double>> targets{
      {1.4, 1.7, 2.0, 2.5}, {1.7, 2.0, 2.5, 3.0}, {2.0, 2.5, 3.0, 3.5}};  // by stages
  PlanRequest request;
  request.prompt_tokens = longest;
  request.dtype = dtype;
  const Plan full = plan_prefill(config, request);
  std::vector<Candidate> chosen;
  std::set<std::string> known;
  for (std::size_t stages = 1; stages <= targets.size(); ++stages) {
    std::vector<Candidate> best(targets[stages - 1].size());
    for (const ScoringResult& result : results) {
      const std::vector<std::int64_t> layers =
          detail::best_layers(result, stages == 1 ? result.layers.size() : 9);
      for (const auto& at : detail::combinations(layers, stages)) {
        if (at.front() == 0) continue;
        for (const auto& kept : detail::combinations(budgets, stages)) {
          Candidate tried;
          DistillOptions& options = tried.options;
          options.scorer = ScorerKind::kWindow;
          options.window = result.scoring.window;
          options.pool = result.scoring.pool;
          options.protect_first = kProtectFirst;
          options.truncated_stages = kTruncateAll;
          for (std::size_t s = 0; s < stages; ++s) {
            options.stages.push_back({at[s], Count{kept[s]}});
            options.heads[at[s]] = result.layers[static_cast<std::size_t>(at[s])].heads;
          }
          tried.speed_up = speed_up(plan_prefill(config, request, options), full);
          if (tried.speed_up < targets[stages - 1].front()) continue;
          tried.recall = detail::joint_recall(result, at, kept);
          for (std::size_t t = 0; t < best.size(); ++t)
            if (tried.speed_up >= targets[stages - 1][t] &&
                (tried.recall > best[t].recall ||
                 (tried.recall == best[t].recall && tried.speed_up > best[t].speed_up)))
              best[t] = tried;
        }
      }
    }
    for (Candidate& candidate : best) {
      MethodOptions method;
      method.kind = MethodKind::kPromptDistill;
      method.distill = candidate.options;
      if (candidate.recall > 0 && known.insert(to_string(method)).second)
        chosen.push_back(std::move(candidate));
    }
  }
  std::stable_sort(chosen.begin(), chosen.end(),
                   [](const Candidate& a, const Candidate& b) { return a.speed_up < b.speed_up; });
  return chosen;
}

}  // namespace promptdistill::examples
