#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A request on paper: cache, peak and FLOPs of a prefill from a config alone, distilled and by its
// rivals.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "promptdistill/core/schedule.hpp"
#include "promptdistill/model/attention.hpp"
#include "promptdistill/model/model_config.hpp"
#include "promptdistill/model/model_sizes.hpp"
#include "promptdistill/options.hpp"

namespace promptdistill {

/// What is asked of a model: `batch` prompts of `prompt_tokens` tokens each.
struct PlanRequest {
  std::int64_t prompt_tokens = 0;
  std::int64_t batch = 1;
  std::int64_t room = 0;  // cache rows of every layer and prompt beyond the prompt, for the answer
  at::ScalarType dtype = at::kBFloat16;
  Placement placement = Placement::kBefore;
  std::optional<std::int64_t> prefill_chunk;  // tokens at once; PrefillOptions has the same
};

/// Floating-point operations of the matrix products, of the whole batch. Causal attention counts
/// the pairs that are seen: the lower half.
struct Flops {
  double projections = 0;  // Q, K, V and attention's output
  double attention = 0;
  double mlp = 0;
  double selection = 0;  // the scores that tokens or cache rows are chosen by
  double lm_head = 0;

  double total() const { return projections + attention + mlp + selection + lm_head; }
};

struct LayerPlan {
  std::int64_t tokens = 0;       // of each prompt, entering the layer
  std::int64_t kept = 0;         // of those, going on
  std::int64_t cache_rows = 0;   // of each prompt, after prefill
  std::int64_t cache_bytes = 0;  // of the batch: what KvCache::bytes() counts for this layer
  std::int64_t peak_bytes = 0;   // the most held at once, above the weights, while the layer runs
};

/// The peak counts tensors as LibTorch allocates them in CausalLm::prefill on the host in float32
/// or bfloat16, not the scratch memory of kernels (a CPU without AVX-512 BF16 attends bfloat16 in
/// float32 parts, which takes more). It is the largest of the moments of all layers:
/// for most models an MLP's, when S live tokens (of N in each of B prompts) hold, beside the caches
/// so far,
///
///     s S (3 E + H D + 2 M) + S (s D + 8) + 8 N B
///
/// bytes at a dtype of s, E hidden, M intermediate: hidden states before and after attention and
/// normed; queries; gate and up; angles and positions; token ids. In chunks S is a chunk's tokens,
/// and in front of a stage and behind one s S E bytes of all live tokens wait beside it.
struct Plan {
  std::vector<LayerPlan> layers;
  std::int64_t cache_bytes = 0;  // after prefill, room and positions included
  std::int64_t peak_bytes = 0;   // above the weights
  Flops prefill;
  Flops decode_step;                   // the first step of every prompt
  std::int64_t decode_read_bytes = 0;  // weights and cache rows that this step reads
};

/// How many times sooner than `full` the first token comes, by FLOPs: every product is taken to run
/// at one rate, and what is not a product to take its share.
inline double speed_up(const Plan& plan, const Plan& full) {
  return full.prefill.total() / plan.prefill.total();
}

namespace detail {

/// Goes through a prefill as CausalLm does, layer by layer, and notes what is held and done.
class PlanWalk {
 public:
  PlanWalk(const ModelConfig& config, const PlanRequest& request, bool staged = false)
      : sizes_(config), request_(request) {
    TORCH_CHECK_VALUE(request.prompt_tokens >= 1 && request.batch >= 1 && request.room >= 0,
                      "promptdistill: a plan must have at least one prompt of at least one token "
                      "and a room that is not negative, got ",
                      request.batch, ", ", request.prompt_tokens, " and ", request.room);
    TORCH_CHECK_VALUE(request.prefill_chunk.value_or(1) >= 1,
                      "promptdistill: a prefill chunk must be at least 1 token, got ",
                      request.prefill_chunk.value_or(0));
    TORCH_CHECK_VALUE(
        at::isFloatingType(request.dtype) && request.dtype != at::kDouble,
        "promptdistill: the dtype of a plan must be float32, float16 or bfloat16, got ",
        at::toString(request.dtype));
    read(request.prompt_tokens, staged);
  }

  /// Prompts of so many tokens start at the first layer; `staged`: some layer selects. After a
  /// first reading only its peak and FLOPs are left.
  void read(std::int64_t tokens, bool staged) {
    staged_ = staged;
    plan_.layers.clear();
    tokens_ = tokens;
    held_ += 8 * all(tokens);  // their ids
  }

  std::int64_t tokens() const { return tokens_; }

  /// The next layer, which leaves `kept` of the live tokens after `scoring` queries scored them (0:
  /// none did), and may cut the caches up to it to them.
  void layer(std::int64_t kept, std::int64_t scoring = 0, bool truncates = false) {
    const bool before = scoring > 0 && request_.placement == Placement::kBefore,
               after = scoring > 0 && !before;
    const Checked in = all(tokens_), out = all(kept),
                  run = before ? out : in;  // tokens that attention and the MLP run on
    const Checked second = at_once(run);    // in the half of the layer after the cache
    start_layer(kept);
    append(in);
    if (before) hold(in, hidden(in) + std::max(scores(scoring), hidden(out)));
    if (scoring > 0) held_ += 4 * in + 8 * out;  // the stage's record: scores and positions
    const Checked beside = waiting(run) + 2 * hidden(second) + queries(second);
    if (request_.dtype == at::kFloat && second < run)  // parts merged by log-sum-exp
      hold(second, beside + 3 * queries(second));
    if (request_.dtype == at::kFloat && before)  // a mask and its float32 form
      hold(second, beside + queries(second) +
                       5 * std::min(second, Checked(kQueryBlock)) * Checked(tokens_));
    if (request_.batch > 1 && second == run)  // rows are attended one by one and joined
      hold(second, hidden(second) + 3 * queries(second));
    hold(second, beside + hidden(second) + queries(second));
    hold(second, beside + hidden(second) + 2 * mlp(second));
    hold(second, beside + 2 * hidden(second) + mlp(second));
    if (after)
      hold(in, hidden(in) + queries(at_once(in) == in ? in : all(scoring)) +
                   std::max(scores(scoring), hidden(out)));
    if (truncates) {  // one after another: less than the MLP held
      for (LayerPlan& earlier : plan_.layers) resize_cache(earlier, kept);
    }

    Flops& flops = plan_.prefill;
    flops.projections += in.real() * sizes_.key_flops() + run.real() * sizes_.query_flops();
    if (before) flops.projections += all(scoring).real() * sizes_.query_flops() / 2;
    // A query sees the keys up to its position: half of them, kept ones taken to stand anywhere.
    // Within a sliding window positions count; gaps that selection left are not reckoned with.
    flops.attention += run.real() * seen() * sizes_.attention_flops();
    flops.mlp += run.real() * sizes_.mlp_flops();
    flops.selection += in.real() * static_cast<double>(scoring) * sizes_.score_flops();
    tokens_ = kept;
  }

  /// A layer's cache is cut to `rows` per KV head, chosen by the last `window` queries.
  void evict(std::int64_t layer, std::int64_t rows, std::int64_t window) {
    const Checked live = at_once(all(tokens_));
    LayerPlan& cut = plan_.layers[static_cast<std::size_t>(layer)];
    hold(cut, live, hidden(live) + queries(live) + std::max(mass(window), cache(rows, true)));
    resize_cache(cut, rows, true);
    plan_.prefill.selection +=
        all(tokens_).real() * static_cast<double>(window) * sizes_.score_flops();
  }

  /// The layers up to the one just run keep no cache.
  void drop_caches() {
    for (LayerPlan& layer : plan_.layers) {
      held_ += -layer.cache_bytes;
      layer.cache_rows = layer.cache_bytes = 0;
    }
  }

  /// A layer of which only keys, values and the last query are computed, for its scores.
  void score_only(std::int64_t kept) {
    const Checked live = all(tokens_);
    start_layer(kept);
    append(live);
    hold(live, hidden(live) + scores(1));
    plan_.prefill.projections +=
        live.real() * sizes_.key_flops() + all(1).real() * sizes_.query_flops() / 2;
    plan_.prefill.selection += live.real() * sizes_.score_flops();
  }

  /// After the last layer: logits, and what the first decode step will take.
  Plan finish() && {
    const Checked live = at_once(all(tokens_));
    const bool at_once_all = live == all(tokens_);
    hold(live, (at_once_all ? hidden(live) : waiting(all(tokens_)) + hidden(all(1))) +
                   all(1) * sizes_.vocabulary * (size() + (request_.dtype == at::kFloat ? 0 : 4)));
    Checked rows;
    for (std::size_t l = 0; l < plan_.layers.size(); ++l) {
      const LayerPlan& layer = plan_.layers[l];
      const std::int64_t window = sizes_.windows[l];
      plan_.cache_bytes += layer.cache_bytes;
      rows += window > 0 ? std::min(layer.cache_rows, window - 1) : layer.cache_rows;
    }
    const double batch = all(1).real(), token_layers = batch * static_cast<double>(sizes_.layers);
    plan_.prefill.lm_head = batch * sizes_.lm_head_flops();
    plan_.decode_step = {
        .projections = token_layers * (sizes_.key_flops() + sizes_.query_flops()),
        .attention = (batch * rows.real() + token_layers) * sizes_.attention_flops(),
        .mlp = token_layers * sizes_.mlp_flops(),
        .lm_head = plan_.prefill.lm_head};
    const Checked unread = sizes_.tied ? 0 : sizes_.vocabulary * sizes_.hidden;  // the embedding
    plan_.decode_read_bytes =
        (size() * (sizes_.parameters + -unread.value() + 2 * all(1) * rows * sizes_.keys)).value();
    return std::move(plan_);
  }

 private:
  Checked size() const { return static_cast<std::int64_t>(at::elementSize(request_.dtype)); }
  Checked all(Checked of_a_prompt) const { return request_.batch * of_a_prompt; }

  // Bytes of so many tokens' tensors.
  Checked hidden(Checked tokens) const { return tokens * sizes_.hidden * size(); }
  Checked queries(Checked tokens) const { return tokens * sizes_.queries * size(); }
  Checked keys(Checked tokens) const { return tokens * sizes_.keys * size(); }
  Checked mlp(Checked tokens) const { return tokens * sizes_.mlp * size(); }

  /// Of so many live tokens those that run through a layer at once.
  Checked at_once(Checked tokens) const {
    return std::min(tokens.value(), request_.prefill_chunk.value_or(tokens.value()));
  }
  /// Hidden states of all of them, held beside a chunk's where a stage is to come or has been.
  Checked waiting(Checked tokens) const {
    return staged_ && request_.prefill_chunk.value_or(tokens.value()) < tokens.value()
               ? hidden(tokens)
               : Checked(0);
  }

  /// A layer's storage of all prompts, as LayerCache allocates it.
  Checked cache(Checked rows, bool per_head = false) const {
    return all(rows + request_.room) *
           (2 * sizes_.keys * size() + 8 * Checked(per_head ? sizes_.kv_heads : 1));
  }

  /// attention_logits, one prompt after another, in float32: beside the keys, then beside their
  /// softmax.
  Checked scores(std::int64_t window) const {
    const Checked logits = 4 * Checked(sizes_.heads) * window * tokens_;
    const Checked wide_keys = request_.dtype == at::kFloat ? 0 : 4 * sizes_.keys * tokens_;
    return logits + std::max(wide_keys, window > 1 ? logits : 0);
  }

  /// attention_mass of baseline/, one prompt after another: float32 keys, logits of some queries at
  /// once and their softmax.
  Checked mass(std::int64_t window) const {
    const std::int64_t together =
        (std::int64_t{1} << 22) / std::max<std::int64_t>(sizes_.heads * tokens_, 1);
    const std::int64_t block = std::min(window, std::max<std::int64_t>(together, 16));
    const Checked wide_keys = request_.dtype == at::kFloat ? 0 : 4 * sizes_.keys * tokens_;
    return wide_keys + 2 * 4 * Checked(sizes_.heads) * block * tokens_;
  }

  /// Keys that a query of the layer under way sees, on average.
  double seen() const {
    const auto tokens = static_cast<double>(tokens_);
    const auto window = static_cast<double>(sizes_.windows[plan_.layers.size() - 1]);
    if (window == 0 || window >= tokens) return (tokens + 1) / 2;
    return window - window * (window - 1) / 2 / tokens;  // the first ones see fewer
  }

  /// Keys and values of the tokens that reach a layer, projected and put into its cache.
  void append(Checked in) {
    const Checked together = at_once(in);
    hold(together, waiting(in) + 2 * hidden(together));
    hold(together, waiting(in) + 2 * hidden(together) + 2 * keys(together) + cache(tokens_));
    resize_cache(plan_.layers.back(), tokens_);
  }

  void start_layer(std::int64_t kept) { plan_.layers.push_back({.tokens = tokens_, .kept = kept}); }

  void resize_cache(LayerPlan& layer, std::int64_t rows, bool per_head = false) {
    const std::int64_t bytes = cache(rows, per_head).value();
    held_ += bytes - layer.cache_bytes;
    layer.cache_rows = rows;
    layer.cache_bytes = bytes;
  }

  /// A moment at which `bytes` are held beside the caches, the ids, the stages' records, and the
  /// angles and positions of the `live` tokens of all prompts.
  void hold(Checked live, Checked bytes) { hold(plan_.layers.back(), live, bytes); }
  void hold(LayerPlan& layer, Checked live, Checked bytes) {
    const Checked sum = bytes + held_ + live * (sizes_.angles * size() + 8);
    layer.peak_bytes = std::max(layer.peak_bytes, sum.value());
    plan_.peak_bytes = std::max(plan_.peak_bytes, layer.peak_bytes);
  }

  ModelSizes sizes_;
  PlanRequest request_;
  std::int64_t tokens_ = 0;  // live ones of each prompt
  Checked held_;             // bytes, see hold()
  bool staged_ = false;      // some layer selects
  Plan plan_;
};

inline std::int64_t scoring_queries(const DistillOptions& options, std::int64_t tokens) {
  return std::min(scoring_tail(options), tokens);
}

inline std::int64_t candidates(const DistillOptions& options, std::int64_t tokens) {
  return make_selector(options).candidates(tokens, scoring_queries(options, tokens));
}

}  // namespace detail

/// How many of `tokens` live tokens a stage's budget keeps, beside those that always stay.
inline std::int64_t stage_budget(const DistillOptions& options,
                                 const Stage& stage,
                                 std::int64_t tokens) {
  return resolve(stage.budget, detail::candidates(options, tokens));
}

/// PromptDistill; full attention where `options` have no stages. Throws what make_distiller and its
/// check throw, and c10::ValueError on a request that is not positive or whose bytes exceed 64
/// bits.
inline Plan plan_prefill(const ModelConfig& config,
                         const PlanRequest& request,
                         const DistillOptions& options = {}) {
  make_distiller(options).check(config.num_hidden_layers, config.num_attention_heads);
  const Schedule schedule(options.stages, options.truncated_stages);
  detail::PlanWalk walk(config, request, !options.stages.empty());
  for (std::int64_t l = 0; l < config.num_hidden_layers; ++l) {
    const std::int64_t tokens = walk.tokens();
    const auto stage = schedule.stage_at(l);
    const std::int64_t candidates = detail::candidates(options, tokens);
    const std::int64_t dropped =
        stage ? candidates -
                    stage_budget(options, options.stages[static_cast<std::size_t>(*stage)], tokens)
              : 0;
    if (dropped == 0) {  // a budget that covers every candidate scores nothing
      walk.layer(tokens);
    } else {
      walk.layer(tokens - dropped, detail::scoring_queries(options, tokens),
                 schedule.truncates_at(l));
    }
  }
  return std::move(walk).finish();
}

/// GemFilter (arXiv 2409.17422): layers 0 to `layer` read the prompt without keeping a cache (in
/// chunks they need theirs until the last one), the last query scores the keys of `layer`, and the
/// whole model reads the `budget` best tokens from the start. The layers planned are those of this
/// second reading; peak and FLOPs are of both. A budget that covers the prompt needs no first one.
/// `whole_layer`: of `layer` all is run, as the authors do, and not only what scores.
inline Plan plan_gem_filter(const ModelConfig& config,
                            const PlanRequest& request,
                            std::int64_t layer,
                            std::int64_t budget,
                            bool whole_layer = false) {
  TORCH_CHECK_INDEX(layer >= 0 && layer < config.num_hidden_layers,
                    "promptdistill: GemFilter's layer must exist: the model has layers 0 to ",
                    config.num_hidden_layers - 1, ", got ", layer);
  TORCH_CHECK_VALUE(budget >= 1, "promptdistill: a budget must be at least 1 token, got ", budget);
  const std::int64_t kept = std::min(budget, request.prompt_tokens);
  PlanRequest scored_after = request;
  scored_after.placement = Placement::kAfter;
  detail::PlanWalk walk(config, scored_after, kept < request.prompt_tokens);
  const bool in_chunks =
      request.prefill_chunk.value_or(request.prompt_tokens) < request.prompt_tokens;
  if (kept < request.prompt_tokens) {
    for (std::int64_t l = 0; l < layer; ++l) {
      walk.layer(request.prompt_tokens);
      if (!in_chunks) walk.drop_caches();
    }
    if (whole_layer)
      walk.layer(kept, 1);
    else
      walk.score_only(kept);
    walk.drop_caches();
    walk.read(kept, false);
  }
  for (std::int64_t l = 0; l < config.num_hidden_layers; ++l) walk.layer(kept);
  return std::move(walk).finish();
}

/// SnapKV (arXiv 2404.14469): the full prefill, every layer's cache cut after its use to the last
/// `window` rows and, for each KV head, the `budget` best of those before. In chunks the last one
/// cuts: until then all layers hold all rows.
inline Plan plan_snap_kv(const ModelConfig& config,
                         const PlanRequest& request,
                         std::int64_t budget,
                         std::int64_t window = 32) {
  TORCH_CHECK_VALUE(budget >= 1 && window >= 1,
                    "promptdistill: SnapKV's budget and window must be at least 1, got ", budget,
                    " and ", window);
  detail::PlanWalk walk(config, request);
  const std::int64_t tokens = request.prompt_tokens;
  const bool cuts = tokens - window > budget,
             chunked = request.prefill_chunk.value_or(tokens) < tokens;
  for (std::int64_t l = 0; l < config.num_hidden_layers; ++l) {
    walk.layer(tokens);
    if (cuts && !chunked) walk.evict(l, budget + window, window);
  }
  for (std::int64_t l = 0; cuts && chunked && l < config.num_hidden_layers; ++l)
    walk.evict(l, budget + window, window);
  return std::move(walk).finish();
}

}  // namespace promptdistill
