#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A causal language model over a Hugging Face checkpoint: prefill with a policy, append over a
// cache, logits.

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "promptdistill/core/concepts.hpp"
#include "promptdistill/core/distill.hpp"
#include "promptdistill/core/kv_cache.hpp"
#include "promptdistill/core/token_frame.hpp"
#include "promptdistill/model/decoder_layer.hpp"
#include "promptdistill/model/forward_pass.hpp"
#include "promptdistill/model/model_config.hpp"
#include "promptdistill/model/rope.hpp"

namespace promptdistill {

struct PrefillResult {
  at::Tensor last_hidden;           // [B, E], normed: what logits() takes
  std::vector<StageRecord> stages;  // in the order of their layers
};

/// A prefill that stands in front of a layer with every token alive: what the layers before it made
/// of the prompts. A copy shares its tensors, which nothing writes to; its cache goes with it.
struct PartialPrefill {
  at::Tensor ids;                             // [S] int64, on the model's device
  TokenFrame frame;                           // hidden states in front of `layer`; none before 0
  std::int64_t layer = 0;                     // the next one to run
  std::vector<std::int64_t> request_lengths;  // [B]
  bool appended = false;  // the tokens' keys and values of `layer` are in the cache as well
};

/// A decoder of the LLaMA form. Immutable once loaded; const methods may run from several threads,
/// each with its own cache. Members of `model` are named as the checkpoint names them.
class CausalLm {
 public:
  struct Model {
    at::Tensor embed_tokens;  // [V, E]
    std::vector<DecoderLayer> layers;
    RmsNorm norm;
  };

  ModelConfig config;
  Model model;
  at::Tensor lm_head;  // [V, E]; the embedding itself where tied
  Rope rope;

  at::Device device() const { return model.embed_tokens.device(); }
  at::ScalarType dtype() const { return model.embed_tokens.scalar_type(); }
  std::int64_t layers() const { return static_cast<std::int64_t>(model.layers.size()); }

  /// A cache for prompts of this model, with room for `room` tokens after them.
  KvCache make_cache(std::int64_t batch = 1, std::int64_t room = 0) const {
    return KvCache(layers(), batch, room);
  }

  /// Runs fresh prompts, packed row after row, into an empty cache; `policy` selects, `eviction`
  /// may evict.
  ///
  /// Throws c10::ValueError on an empty prompt, a cache that is not empty or of another batch, a
  /// prompt beyond the context, c10::IndexError on ids outside the vocabulary, and what the policy
  /// throws.
  template <DistillPolicy Policy = NoDistill, CachePolicy Eviction = KeepCache>
  PrefillResult prefill(const at::Tensor& ids,                     // [S] int64
                        const std::vector<std::int64_t>& lengths,  // [B], sum S
                        KvCache& cache,
                        const Policy& policy = {},
                        const PrefillOptions& options = {},
                        Eviction&& eviction = {}) const {
    policy.check(layers(), config.num_attention_heads);
    return run(begin_prefill(ids, lengths, cache, options), cache, policy, options, eviction, true);
  }

  /// A prefill in parts, for policies that share what lies before their first stage: begin_prefill,
  /// run_to that layer once, and finish_prefill for each policy from a fork of the cache. Throws
  /// what prefill throws of ids and cache.
  PartialPrefill begin_prefill(const at::Tensor& ids,                     // [S] int64
                               const std::vector<std::int64_t>& lengths,  // [B], sum S
                               const KvCache& cache,
                               const PrefillOptions& options = {}) const {
    const c10::InferenceMode guard;
    for (std::int64_t b = 0; b < cache.batch(); ++b) {
      TORCH_CHECK_VALUE(cache.next_position(b) == 0 && cache.at(b, 0).rows() == 0,
                        "promptdistill: a prefill must start from an empty cache, row ", b,
                        " holds ", cache.next_position(b),
                        " tokens; append() goes on from a cache");
    }
    return begin(ids, lengths, cache, standing(cache),
                 options.max_new_tokens.value_or(cache.room()));
  }

  /// Runs every token through the layers that are left before `layer`; a cache policy is asked in
  /// them. Throws c10::IndexError where it lies behind that layer or is not the model's.
  template <CachePolicy Eviction = KeepCache>
  void run_to(PartialPrefill& partial,
              std::int64_t layer,
              KvCache& cache,
              const PrefillOptions& options = {},
              Eviction&& eviction = {}) const {
    const c10::InferenceMode guard;
    TORCH_CHECK_INDEX(layer >= partial.layer && layer < layers(),
                      "promptdistill: a prefill in front of layer ", partial.layer,
                      " can run to it or a later one of the model's ", layers(), ", got ", layer);
    const NoDistill policy;
    auto pass = make_pass(partial, cache, policy, eviction, options, true);
    partial.frame = partial.frame.with_hidden(pass.run_to(layer));
    partial.appended = partial.appended && layer == partial.layer;
    partial.layer = layer;
  }

  /// Goes on by the first half of the layer that a prefill stands in front of: the tokens' keys and
  /// values go to its cache, which no question about them changes.
  void append_layer(PartialPrefill& partial,
                    KvCache& cache,
                    const PrefillOptions& options = {}) const {
    const c10::InferenceMode guard;
    const NoDistill policy;
    KeepCache keep;
    make_pass(partial, cache, policy, keep, options, true).append_first();
    partial.appended = true;
  }

  /// More tokens of the same prompts, packed row after row, brought to where a partial prefill
  /// stands: what it gives is the partial prefill of both together. `cache` is the partial
  /// prefill's. Throws c10::ValueError where a row would outgrow the context or the length that its
  /// rotary embeddings were chosen for, and what prefill throws of ids.
  PartialPrefill extend(const PartialPrefill& partial,
                        const at::Tensor& ids,                     // [S] int64
                        const std::vector<std::int64_t>& lengths,  // [B], sum S
                        KvCache& cache,
                        const PrefillOptions& options = {}) const {
    const c10::InferenceMode guard;
    TORCH_CHECK_VALUE(partial.frame.batch() == cache.batch(),
                      "promptdistill: a partial prefill of ", partial.frame.batch(),
                      " rows goes with a cache of as many, got ", cache.batch());
    PartialPrefill added =
        begin(ids, lengths, cache, {partial.frame.lengths(), partial.request_lengths}, 0);
    run_to(added, partial.layer, cache, options);
    if (partial.appended) append_layer(added, cache, options);
    const auto join = [&](const at::Tensor& before, const at::Tensor& behind) {
      if (!before.defined()) return at::Tensor();
      std::vector<at::Tensor> rows;
      for (std::int64_t b = 0; b < partial.frame.batch(); ++b) {
        rows.push_back(partial.frame.row(before, b));
        rows.push_back(added.frame.row(behind, b));
      }
      return at::cat(rows);
    };
    std::vector<std::int64_t> offsets = partial.frame.offsets();
    for (std::size_t b = 0; b < offsets.size(); ++b) offsets[b] += added.frame.offsets()[b];
    return {
        join(partial.ids, added.ids),
        TokenFrame(join(partial.frame.hidden(), added.frame.hidden()),
                   join(partial.frame.positions(), added.frame.positions()), std::move(offsets)),
        partial.layer, partial.request_lengths, partial.appended};
  }

  /// The layers that are left, as prefill runs them. `cache` holds what the layers before made. A
  /// cache policy evicts in the layers that run here. Throws c10::ValueError where the policy
  /// selects before them, and what prefill throws.
  template <DistillPolicy Policy = NoDistill, CachePolicy Eviction = KeepCache>
  PrefillResult finish_prefill(PartialPrefill partial,
                               KvCache& cache,
                               const Policy& policy = {},
                               const PrefillOptions& options = {},
                               Eviction&& eviction = {}) const {
    policy.check(layers(), config.num_attention_heads);
    for (std::int64_t l = 0; l < partial.layer; ++l) {
      TORCH_CHECK_VALUE(!policy.selects_at(l), "promptdistill: a prefill in front of layer ",
                        partial.layer, " cannot be finished by a policy that selects at layer ", l);
    }
    return run(std::move(partial), cache, policy, options, eviction, true);
  }

  /// Runs further tokens over a cache that holds what came before: a decode step, a next turn.
  /// Nothing is selected; each token sees the cached rows before it and its predecessors here.
  /// Returns [B, E], normed. Throws c10::ValueError where a row would outgrow the length that its
  /// rotary embeddings were chosen for.
  template <CachePolicy Eviction = KeepCache>
  at::Tensor append(const at::Tensor& ids,
                    const std::vector<std::int64_t>& lengths,
                    KvCache& cache,
                    Eviction&& eviction = {}) const {
    return run(begin(ids, lengths, cache, standing(cache), cache.room()), cache, NoDistill{}, {},
               eviction, false)
        .last_hidden;
  }

  /// Next-token logits in float32 of the last tokens alone: [B, E] -> [B, V].
  at::Tensor logits(const at::Tensor& last_hidden) const {
    const c10::InferenceMode guard;
    return detail::project(last_hidden, lm_head).to(at::kFloat);
  }

 private:
  /// What there is of each row before the tokens that come.
  struct Standing {
    std::vector<std::int64_t> tokens;           // [B]
    std::vector<std::int64_t> request_lengths;  // [B]; of no meaning for a row without tokens
  };
  static Standing standing(const KvCache& cache) {
    Standing now;
    for (std::int64_t b = 0; b < cache.batch(); ++b) {
      now.tokens.push_back(cache.next_position(b));
      now.request_lengths.push_back(cache.request_length(b));
    }
    return now;
  }

  PartialPrefill begin(const at::Tensor& ids,
                       const std::vector<std::int64_t>& lengths,
                       const KvCache& cache,
                       const Standing& before,
                       std::int64_t to_come) const {
    const c10::InferenceMode guard;
    check_input(ids, lengths, cache, before.tokens);
    // Not waited for where nobody can tell: memory of the host that is not pinned is read before
    // the call returns.
    const auto on_device = [&](const at::Tensor& given) {
      const bool read_at_once = given.is_cpu() && !device().is_cpu() && !given.is_pinned();
      return given.to(device(), at::kLong, /*non_blocking=*/read_at_once);
    };
    at::Tensor device_ids = on_device(ids);
    TokenFrame frame = TokenFrame::from_prompt({}, lengths, before.tokens);
    if (!device().is_cpu()) frame = TokenFrame({}, on_device(frame.positions()), frame.offsets());
    return {std::move(device_ids), std::move(frame), 0, choose_lengths(lengths, before, to_come)};
  }

  template <DistillPolicy Policy, class Eviction>
  detail::ForwardPass<Policy, Eviction> make_pass(const PartialPrefill& partial,
                                                  KvCache& cache,
                                                  const Policy& policy,
                                                  Eviction& eviction,
                                                  const PrefillOptions& options,
                                                  bool prefill) const {
    return {{model.layers,
             [&](std::int64_t begin, std::int64_t end) {
               return model.embed_tokens.index_select(0, partial.ids.narrow(0, begin, end - begin));
             },
             [&](const TokenFrame& tokens, std::int64_t first_row) {
               return angles_of(tokens, partial.request_lengths, first_row);
             }},
            partial.frame,
            partial.layer,
            partial.appended,
            cache,
            policy,
            eviction,
            options,
            prefill};
  }

  template <DistillPolicy Policy, class Eviction>
  PrefillResult run(PartialPrefill partial,
                    KvCache& cache,
                    const Policy& policy,
                    const PrefillOptions& options,
                    Eviction& eviction,
                    bool prefill) const {
    const c10::InferenceMode guard;
    const std::vector<std::int64_t> lengths = partial.frame.lengths();
    auto pass = make_pass(partial, cache, policy, eviction, options, prefill);
    partial.frame = partial.frame.with_hidden({});  // the pass drops them when it can
    PrefillResult result;
    result.last_hidden = model.norm(pass.run());
    result.stages = std::move(pass).stages();
    for (std::int64_t b = 0; b < cache.batch(); ++b) {
      cache.advance(b, lengths[static_cast<std::size_t>(b)]);
      cache.set_request_length(b, partial.request_lengths[static_cast<std::size_t>(b)]);
    }
    return result;
  }

  /// The length that each row's rotary embeddings are chosen for: at its first tokens, for good.
  std::vector<std::int64_t> choose_lengths(const std::vector<std::int64_t>& lengths,
                                           const Standing& before,
                                           std::int64_t to_come) const {  // [B]
    TORCH_CHECK_VALUE(to_come >= 0,
                      "promptdistill: the number of new tokens must not be negative, got ",
                      to_come);
    std::vector<std::int64_t> chosen;
    for (std::size_t b = 0; b < lengths.size(); ++b) {
      const std::int64_t end = before.tokens[b] + lengths[b];
      const std::int64_t length =
          before.tokens[b] > 0
              ? before.request_lengths[b]
              : end + std::min(to_come, std::max<std::int64_t>(config.context() - end, 0));
      TORCH_CHECK_VALUE(end <= rope.reach(length), "promptdistill: a request must stay within the ",
                        rope.reach(length),
                        " tokens that its rotary embeddings were chosen for, row ", b, " needs ",
                        end, "; give the prefill the room or max_new_tokens of all that follows");
      chosen.push_back(length);
    }
    return chosen;
  }

  /// Angles of a frame whose first row is row `first_row` of the batch.
  RotaryAngles angles_of(const TokenFrame& frame,
                         const std::vector<std::int64_t>& request_lengths,
                         std::int64_t first_row) const {
    const auto length_of = [&](std::int64_t row) {
      return request_lengths[static_cast<std::size_t>(first_row + row)];
    };
    if (!rope.depends_on_length() || frame.batch() == 1)
      return rope.at_positions(frame.positions(), dtype(), length_of(0));
    std::vector<at::Tensor> cos, sin;
    for (std::int64_t b = 0; b < frame.batch(); ++b) {
      const RotaryAngles row =
          rope.at_positions(frame.row(frame.positions(), b), dtype(), length_of(b));
      cos.push_back(row.cos);
      sin.push_back(row.sin);
    }
    return {at::cat(cos), at::cat(sin)};
  }

  void check_input(const at::Tensor& ids,
                   const std::vector<std::int64_t>& lengths,
                   const KvCache& cache,
                   const std::vector<std::int64_t>& before) const {  // [B] tokens
    TORCH_CHECK_VALUE(ids.defined() && ids.dim() == 1 && ids.scalar_type() == at::kLong,
                      "promptdistill: token ids must be a one-dimensional int64 tensor");
    TORCH_CHECK_VALUE(ids.numel() >= 1,
                      "promptdistill: a prompt must have at least one token, got none");
    TORCH_CHECK_VALUE(
        cache.layers() == layers() && cache.batch() == static_cast<std::int64_t>(lengths.size()),
        "promptdistill: the cache must have the model's ", layers(), " layers and the batch's ",
        lengths.size(), " rows, got ", cache.layers(), " and ", cache.batch());
    std::int64_t total = 0;
    for (std::size_t b = 0; b < lengths.size(); ++b) {
      const std::int64_t end = before[b] + lengths[b];
      TORCH_CHECK_VALUE(lengths[b] >= 1,
                        "promptdistill: a prompt must have at least one token, row ", b, " has ",
                        lengths[b]);
      TORCH_CHECK_VALUE(end <= config.context(),
                        "promptdistill: a prompt must fit the model's context of ",
                        config.context(), " tokens, row ", b, " needs ", end);
      total += lengths[b];
    }
    TORCH_CHECK_VALUE(total == ids.numel(), "promptdistill: the lengths must add up to the ",
                      ids.numel(), " token ids, got ", total);
    const std::int64_t lowest = ids.min().item<std::int64_t>(),
                       highest = ids.max().item<std::int64_t>();
    TORCH_CHECK_INDEX(lowest >= 0 && highest < config.vocab_size,
                      "promptdistill: token ids must be in [0, ", config.vocab_size, "), got ",
                      lowest < 0 ? lowest : highest);
  }
};

}  // namespace promptdistill
