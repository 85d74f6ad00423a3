#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// GemFilter: the first layers choose the prompt's best tokens, and the model reads those alone.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "promptdistill/core/concepts.hpp"
#include "promptdistill/model/causal_lm.hpp"
#include "promptdistill/policy/last_query_scorer.hpp"

namespace promptdistill {

struct GemFilterOptions {
  std::int64_t layer = 13;     // whose attention logits choose
  std::int64_t tokens = 1024;  // of the prompt that are read
  std::int64_t pool = 5;       // neighbours that scores are averaged over, odd
};

/// How the filter pass reaches the scores. Both give the same tokens.
enum class GemFilterForm {
  kAuthors,   // layer `layer` runs in full for every token, then scores
  kImproved,  // scores with layer `layer`'s keys and the last token's query, and stops there
};

/// What a filter pass chose.
struct GemFilterChoice {
  at::Tensor positions;  // [K] int64, ascending
  at::Tensor scores;     // [N] float32; undefined where every token is kept
};

namespace detail {

/// Ends a prefill with a choice at its layer; no token is ever dropped within it.
class GemFilterPass {
 public:
  explicit GemFilterPass(const GemFilterOptions& options) : options_(options) {}

  void check(std::int64_t, std::int64_t) const {}
  bool selects_at(std::int64_t layer) const { return layer == options_.layer; }
  bool truncates_at(std::int64_t) const { return false; }
  std::int64_t window(std::int64_t) const { return 1; }

  /// Throws GemFilterChoice: nothing that a prefill does after it is needed.
  Selection select(const LayerProbe& probe) const {
    const std::int64_t tokens = probe.tokens();
    at::Tensor scores = LastQueryScorer().head_scores(probe).sum(0);
    if (options_.pool > 1)
      scores =
          at::avg_pool1d(scores.view({1, 1, tokens}), options_.pool, 1, options_.pool / 2).view(-1);
    at::Tensor kept =
        std::get<0>(std::get<1>(scores.topk(std::min(options_.tokens, tokens))).sort());
    throw GemFilterChoice{std::move(kept), std::move(scores)};
  }

  /// As a cache policy: a layer that is done with leaves nothing but a row in the cache.
  void evict(const CacheProbe& probe, LayerCache& cache) const {
    if (probe.complete && probe.layer < options_.layer)
      cache.keep(at::arange(cache.rows() - 1, cache.rows(), probe.query_positions.options()), 0);
  }

 private:
  GemFilterOptions options_;
};
static_assert(DistillPolicy<GemFilterPass> && CachePolicy<GemFilterPass>);

}  // namespace detail

/// Throws c10::ValueError on a setting that breaks its rule, and with `layers`, the model's,
/// c10::IndexError where it lacks the layer.
inline void check(const GemFilterOptions& options, std::optional<std::int64_t> layers = {}) {
  TORCH_CHECK_VALUE(options.layer >= 0,
                    "promptdistill: GemFilter's layer must not be negative, got ", options.layer);
  TORCH_CHECK_INDEX(!layers || options.layer < *layers,
                    "promptdistill: GemFilter's layer must exist: the model has layers 0 to ",
                    layers.value_or(0) - 1, ", got ", options.layer);
  TORCH_CHECK_VALUE(options.tokens >= 1,
                    "promptdistill: GemFilter must keep at least 1 token, got ", options.tokens);
  TORCH_CHECK_VALUE(options.pool >= 1 && options.pool % 2 == 1,
                    "promptdistill: GemFilter's pooling kernel must be odd and at least 1, got ",
                    options.pool);
}

/// The filter pass from a prefill that has run in front of a layer no later than the pass's own;
/// the cache is a fork of what it made and of no use afterwards. For several settings that share
/// the layers before. Throws what check and CausalLm::finish_prefill throw.
inline GemFilterChoice gem_filter_from(const CausalLm& lm,
                                       PartialPrefill partial,
                                       KvCache& cache,
                                       const GemFilterOptions& options,
                                       GemFilterForm form,
                                       PrefillOptions prefill) {
  check(options, lm.layers());
  const std::int64_t tokens = partial.ids.numel();
  if (tokens <= options.tokens)
    return {at::arange(tokens, at::TensorOptions(lm.device()).dtype(at::kLong)), {}};
  prefill.placement = form == GemFilterForm::kAuthors ? Placement::kAfter : Placement::kBefore;
  const detail::GemFilterPass pass(options);
  try {
    lm.finish_prefill(std::move(partial), cache, pass, prefill, pass);
  } catch (const GemFilterChoice& choice) {
    return choice;
  }
  TORCH_CHECK(false, "promptdistill: a prefill must ask a policy at the layer it selects at");
}

/// GemFilter (arXiv 2409.17422): the tokens of a prompt to generate from, at positions 0 to K - 1.
/// Layers 0 to `layer` read the whole prompt and keep no cache; the `tokens` best by
///
///     s_j = avg_pool(sum over the query heads of q_last . k_j)
///
/// stay, the last token competing like all others. Float32, where the authors score in the model's
/// dtype; divided by sqrt(D), which changes no order. A prompt of no more than `tokens` tokens is
/// kept without a pass. Throws what check and CausalLm::prefill throw.
inline GemFilterChoice gem_filter(const CausalLm& lm,
                                  const std::vector<std::int64_t>& prompt,
                                  const GemFilterOptions& options = {},
                                  GemFilterForm form = GemFilterForm::kImproved,
                                  PrefillOptions prefill = {}) {
  KvCache cache = lm.make_cache();
  PartialPrefill begun =
      lm.begin_prefill(at::tensor(prompt, at::kLong), {std::ssize(prompt)}, cache, prefill);
  return gem_filter_from(lm, std::move(begun), cache, options, form, std::move(prefill));
}

}  // namespace promptdistill
