#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Which heads of a layer find what a prompt hides, and how many tokens they need for it.

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "examples/evaluate/head_recall.hpp"
#include "examples/evaluate/task.hpp"

namespace promptdistill::examples {

/// What every schedule keeps beside its budgets: the attention sink and the question.
inline constexpr std::int64_t kProtectFirst = 4, kProtectLast = 64;

/// The attention that every head of every layer pays to each token, of one prompt.
struct PromptScores {
  std::int64_t tokens = 0;
  TokenRange needle{};
  std::vector<at::Tensor> by_window;  // [L, H, T - W] bfloat16 each, not smoothed
};

/// One full prefill. Windows are those of `windows`, ascending.
inline PromptScores score_prompt(const CausalLm& lm,
                                 const Sample& sample,
                                 const std::vector<std::int64_t>& windows,
                                 PrefillOptions options = {}) {
  PromptScores out{std::ssize(sample.ids), sample.needles.front(), {}};
  for (const std::int64_t window : windows)
    out.by_window.push_back(at::empty(
        {lm.layers(), lm.config.num_attention_heads, out.tokens - window}, at::kBFloat16));
  const detail::EveryLayer policy(windows.back(), [&](const LayerProbe& probe) {
    for (std::size_t w = 0; w < windows.size(); ++w)
      out.by_window[w][probe.layer].copy_(head_scores(probe, {windows[w], 1}));
  });
  options.placement = Placement::kBefore;
  KvCache cache = lm.make_cache();
  lm.prefill(at::tensor(sample.ids, at::kLong), {out.tokens}, cache, policy, options);
  return out;
}

/// Scores of heads [R, T - W], smoothed as Pooled does, of the tokens that a budget is spent on at
/// the end: all but the last kProtectLast of T.
inline at::Tensor smoothed(const at::Tensor& scores, std::int64_t pool, std::int64_t tokens) {
  const at::Tensor wide = scores.to(at::kFloat);
  const at::Tensor smooth =
      pool == 1 ? wide : at::avg_pool1d(wide.unsqueeze(0), pool, 1, pool / 2).squeeze(0);
  return smooth.narrow(1, 0, std::min(smooth.size(1), tokens - kProtectLast));
}

/// How many tokens each row ranks above each of the needle's. A budget keeps the token if it is
/// larger; tokens behind the scores' end always stay.
inline at::Tensor ranks_of(const at::Tensor& scores, const TokenRange& needle) {  // [R, N] int64
  std::vector<at::Tensor> ranks;
  for (std::int64_t at = needle.begin; at < needle.end; ++at)
    ranks.push_back(at < scores.size(1)
                        ? scores.gt(scores.narrow(1, at, 1)).sum(1)
                        : at::zeros({scores.size(0)}, scores.options().dtype(at::kLong)));
  return at::stack(ranks, 1);
}

/// The share of the needle's tokens within `budget`, of one row of ranks.
inline double recall_within(const at::Tensor& ranks, std::int64_t budget) {
  return ranks.lt(budget).to(at::kDouble).mean().item<double>();
}

/// How cheaply ranks [R, N] find the needle: 1 where 64 tokens hold all of it, 0 where 2,048 hold
/// nothing, logarithmic between them; a token's mean.
inline at::Tensor quality_of(const at::Tensor& ranks) {  // [R]
  return ranks.to(at::kDouble).clamp_min(64).div(64).log2().div(-5).add(1).clamp(0, 1).mean(1);
}

/// A layer's voting heads, found for one window and kernel.
struct LayerHeads {
  std::vector<std::int64_t> heads;
  double quality = 0;
  std::vector<at::Tensor> ranks;  // [N] of each prompt
};

/// Adds to a layer's best head those that help it: greedily, while the mean quality over prompts
/// rises by 0.005, of the 6 best alone and at most 4. `smooth`: the layer's [H, T] of each prompt.
inline LayerHeads best_heads(const std::vector<at::Tensor>& smooth,
                             const std::vector<TokenRange>& needles) {
  const auto prompts = static_cast<double>(smooth.size());
  at::Tensor alone = at::zeros({smooth.front().size(0)}, at::kDouble);
  for (std::size_t p = 0; p < smooth.size(); ++p)
    alone.add_(quality_of(ranks_of(smooth[p], needles[p])) / prompts);
  const at::Tensor order = alone.argsort(0, /*descending=*/true);
  std::vector<std::int64_t> pool;
  for (std::int64_t i = 0; i < std::min<std::int64_t>(6, order.numel()); ++i)
    pool.push_back(order[i].item<std::int64_t>());

  LayerHeads best;
  std::vector<at::Tensor> sums;  // [1, T] of each prompt, over the heads chosen
  for (const at::Tensor& scores : smooth) sums.push_back(at::zeros({1, scores.size(1)}));
  while (best.heads.size() < 4 && !pool.empty()) {
    LayerHeads next;
    std::int64_t added = -1;
    for (const std::int64_t head : pool) {
      LayerHeads tried;
      for (std::size_t p = 0; p < smooth.size(); ++p) {
        const at::Tensor ranks = ranks_of(sums[p] + smooth[p].narrow(0, head, 1), needles[p]);
        tried.quality += quality_of(ranks)[0].item<double>() / prompts;
        tried.ranks.push_back(ranks[0]);
      }
      if (added >= 0 && tried.quality <= next.quality) continue;
      next = std::move(tried);
      added = head;
    }
    if (!best.heads.empty() && next.quality < best.quality + 0.005) break;
    next.heads = best.heads;
    next.heads.push_back(added);
    best = std::move(next);
    std::erase(pool, added);
    for (std::size_t p = 0; p < smooth.size(); ++p) sums[p].add_(smooth[p].narrow(0, added, 1));
  }
  std::sort(best.heads.begin(), best.heads.end());
  return best;
}

/// What one way of scoring finds, layer by layer.
struct ScoringResult {
  HeadScoring scoring;
  std::vector<LayerHeads> layers;
};

/// Searches every layer that may be a stage, for each window and kernel. `step` is called before
/// each of them with how many there are.
template <class Step>
std::vector<ScoringResult> search_heads(const std::vector<PromptScores>& prompts,
                                        const std::vector<std::int64_t>& windows,
                                        const std::vector<std::int64_t>& pools,
                                        Step&& step) {
  std::vector<TokenRange> needles;
  for (const PromptScores& prompt : prompts) needles.push_back(prompt.needle);
  const std::int64_t layers = prompts.front().by_window.front().size(0);
  std::vector<ScoringResult> results;
  std::size_t done = 0;
  for (std::size_t w = 0; w < windows.size(); ++w) {
    for (const std::int64_t pool : pools) {
      ScoringResult result{{windows[w], pool}, {}};
      for (std::int64_t layer = 0; layer + 1 < layers; ++layer) {
        step(done++, windows.size() * pools.size() * static_cast<std::size_t>(layers - 1));
        std::vector<at::Tensor> smooth;
        for (const PromptScores& prompt : prompts)
          smooth.push_back(smoothed(prompt.by_window[w][layer], pool, prompt.tokens));
        result.layers.push_back(best_heads(smooth, needles));
      }
      results.push_back(std::move(result));
    }
  }
  return results;
}

}  // namespace promptdistill::examples
