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
  double margin = -1;   // how far inside the budgets they rank, see detail::Joint
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

/// The layers with the best heads, ascending; not the first one, which leaves nothing to share.
inline std::vector<std::int64_t> best_layers(const ScoringResult& result, std::size_t count) {
  std::vector<std::int64_t> layers(result.layers.size() - 1);
  std::iota(layers.begin(), layers.end(), 1);
  std::stable_sort(layers.begin(), layers.end(), [&](std::int64_t a, std::int64_t b) {
    return result.layers[static_cast<std::size_t>(a)].quality >
           result.layers[static_cast<std::size_t>(b)].quality;
  });
  layers.resize(std::min(count, layers.size()));
  std::sort(layers.begin(), layers.end());
  return layers;
}

/// What `result` says of stages at some layers with some budgets, a prompt's mean.
struct Joint {
  double recall = 0;  // of the needle's tokens that every stage keeps
  double margin = 0;  // log2 of budget by rank at a token's tightest stage, within -1 to 3
};

inline Joint joint_of(const ScoringResult& result,
                      const std::vector<std::int64_t>& layers,
                      const std::vector<std::int64_t>& budgets) {
  const std::size_t prompts = result.layers.front().ranks.size();
  Joint joint;
  for (std::size_t p = 0; p < prompts; ++p) {
    at::Tensor margin;
    for (std::size_t s = 0; s < layers.size(); ++s) {
      const at::Tensor here = result.layers[static_cast<std::size_t>(layers[s])]
                                  .ranks[p]
                                  .to(at::kDouble)
                                  .add(1)
                                  .reciprocal()
                                  .mul(static_cast<double>(budgets[s]))
                                  .log2();
      margin = margin.defined() ? margin.minimum(here) : here;
    }
    joint.recall += margin.ge(0).to(at::kDouble).mean().item<double>();
    joint.margin += margin.clamp(-1, 3).mean().item<double>();
  }
  joint.recall /= static_cast<double>(prompts);
  joint.margin /= static_cast<double>(prompts);
  return joint;
}

}  // namespace detail

/// For one, two and three stages and each of some speed-ups of a prompt of `longest` tokens, the
/// schedule that keeps most of the needles; each once, the slowest first. Budgets fall from stage
/// to stage.
inline std::vector<Candidate> candidate_schedules(const ModelConfig& config,
                                                  at::ScalarType dtype,
                                                  std::int64_t longest,
                                                  const std::vector<ScoringResult>& results) {
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
        for (const auto& kept : detail::combinations(budgets, stages)) {
          Candidate tried;
          DistillOptions& options = tried.options;
          options.scorer = ScorerKind::kWindow;
          options.window = result.scoring.window;
          options.pool = result.scoring.pool;
          options.protect_first = kProtectFirst;
          options.protect_last = kProtectLast;
          options.truncated_stages = kTruncateAll;
          for (std::size_t s = 0; s < stages; ++s) {
            options.stages.push_back({at[s], Count{kept[s]}});
            options.heads[at[s]] = result.layers[static_cast<std::size_t>(at[s])].heads;
          }
          tried.speed_up = speed_up(plan_prefill(config, request, options), full);
          if (tried.speed_up < targets[stages - 1].front()) continue;
          const detail::Joint joint = detail::joint_of(result, at, kept);
          tried.recall = joint.recall;
          tried.margin = joint.margin;
          const auto& steps = targets[stages - 1];
          const auto step = std::upper_bound(steps.begin(), steps.end(), tried.speed_up);
          Candidate& rival = best[static_cast<std::size_t>(step - steps.begin()) - 1];
          if (tried.margin > rival.margin ||
              (tried.margin == rival.margin && tried.speed_up > rival.speed_up))
            rival = std::move(tried);
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
