#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Prefill and decode of one prompt: the loop that programs call.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iterator>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "promptdistill/core/distill.hpp"
#include "promptdistill/model/causal_lm.hpp"
#include "promptdistill/model/sampler.hpp"

namespace promptdistill {

/// Runs one more token over a cache: its logits [V] float32, valid until the next call.
using DecodeStep = std::function<at::Tensor(std::int64_t token)>;

struct GenerateOptions {
  std::int64_t max_new_tokens = 64;
  std::set<std::int64_t> stop_ids;  // the token that stops is the last one returned
  SamplingOptions sampling;
  PrefillOptions prefill;
  /// Called with every token as it comes, the stopping one included; false ends the answer.
  std::function<bool(std::int64_t)> on_token;
  /// Makes what runs the tokens after the first, once the prompt is in the cache:
  /// cuda::decode_graph. CausalLm::append runs them where there is none, where it makes none, and
  /// where a cache policy may evict after every token.
  std::function<DecodeStep(const CausalLm&, KvCache&)> decode_with;

  /// `prefill` for a prompt that max_new_tokens follow, unless it says otherwise itself.
  PrefillOptions prefill_with_room() const {
    PrefillOptions options = prefill;
    if (!options.max_new_tokens) options.max_new_tokens = max_new_tokens;
    return options;
  }
};

enum class StopReason { kStopToken, kMaxNewTokens, kContext, kCaller };

struct GenerateResult {
  std::vector<std::int64_t> tokens;
  StopReason stop_reason;
  std::vector<StageRecord> stages;
  std::vector<std::int64_t> cache_rows;  // [L] after prefill
  std::size_t cache_bytes;               // after prefill, the room for the answer included
  at::Tensor prefill_logits;             // [V] float32
  at::Tensor last_logits;                // [V] float32, those the last token came from, unpenalised
  double prefill_seconds;                // to the first token: what a user waits
  double decode_seconds;                 // of the tokens after the first
};

namespace detail {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

inline void check_request(const std::vector<std::int64_t>& prompt, const GenerateOptions& options) {
  TORCH_CHECK_VALUE(!prompt.empty(),
                    "promptdistill: a prompt must have at least one token, got none");
  TORCH_CHECK_VALUE(options.max_new_tokens >= 1,
                    "promptdistill: the number of new tokens must be at least 1, got ",
                    options.max_new_tokens);
}

}  // namespace detail

/// Answers a prompt whose prefill is done. The last token is not run: the cache holds the prompt
/// and all tokens before it, so that a next turn appends it first. `prefill_seconds` counts from
/// this call on.
template <CachePolicy Eviction = KeepCache>
GenerateResult generate_from(const CausalLm& lm,
                             const std::vector<std::int64_t>& prompt,
                             PrefillResult prefilled,
                             KvCache& cache,
                             const GenerateOptions& options = {},
                             Eviction&& eviction = {}) {
  detail::check_request(prompt, options);
  const auto start = detail::Clock::now();
  Sampler sample(options.sampling);
  GenerateResult result{};
  result.prefill_logits = lm.logits(prefilled.last_hidden)[0];
  result.last_logits = result.prefill_logits;
  result.stages = std::move(prefilled.stages);
  result.cache_rows = cache.rows();
  result.cache_bytes = cache.bytes();
  std::vector<std::int64_t> seen = prompt;  // and the answer so far
  std::int64_t token = sample(result.last_logits, seen);
  result.prefill_seconds = detail::seconds_since(start);
  const auto first = detail::Clock::now();
  DecodeStep step;
  for (;;) {
    result.tokens.push_back(token);
    seen.push_back(token);
    const bool go_on = !options.on_token || options.on_token(token);
    if (options.stop_ids.contains(token)) {
      result.stop_reason = StopReason::kStopToken;
    } else if (!go_on) {
      result.stop_reason = StopReason::kCaller;
    } else if (static_cast<std::int64_t>(result.tokens.size()) == options.max_new_tokens) {
      result.stop_reason = StopReason::kMaxNewTokens;
    } else if (cache.next_position(0) == lm.config.context()) {
      result.stop_reason = StopReason::kContext;
    } else {
      if (!step && options.decode_with && evicts_prompt_only(eviction))
        step = options.decode_with(lm, cache);
      if (!step)
        step = [&](std::int64_t next) {
          return lm.logits(lm.append(at::tensor({next}, at::kLong), {1}, cache, eviction))[0];
        };
      result.last_logits = step(token);
      token = sample(result.last_logits, seen);
      continue;
    }
    break;
  }
  result.decode_seconds = detail::seconds_since(first);
  return result;
}

/// generate_from what `prefill` returns, a call that fills `cache` and is timed as part of it.
/// Throws what the call and the sampler throw; the sampler's settings are checked before the call.
template <class Prefill, CachePolicy Eviction = KeepCache>
GenerateResult generate_after(Prefill&& prefill,
                              const CausalLm& lm,
                              const std::vector<std::int64_t>& prompt,
                              KvCache& cache,
                              const GenerateOptions& options = {},
                              Eviction&& eviction = {}) {
  detail::check_request(prompt, options);
  Sampler{options.sampling};
  const auto start = detail::Clock::now();
  PrefillResult prefilled = prefill();
  const double seconds = detail::seconds_since(start);
  GenerateResult result = generate_from(lm, prompt, std::move(prefilled), cache, options, eviction);
  result.prefill_seconds += seconds;
  return result;
}

/// Answers one prompt: prefill and generate_from. Throws what prefill and the sampler throw.
template <DistillPolicy Policy = NoDistill, CachePolicy Eviction = KeepCache>
GenerateResult generate(const CausalLm& lm,
                        const std::vector<std::int64_t>& prompt,
                        KvCache& cache,
                        const Policy& policy = {},
                        const GenerateOptions& options = {},
                        Eviction&& eviction = {}) {
  return generate_after(
      [&] {
        return lm.prefill(at::tensor(prompt, at::kLong), {std::ssize(prompt)}, cache, policy,
                          options.prefill_with_room(), eviction);
      },
      lm, prompt, cache, options, eviction);
}

}  // namespace promptdistill
