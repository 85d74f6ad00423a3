#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The replies of several methods to one prompt, decoded together: a step reads the weights once for
// all of them, which is most of what a reply takes.

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "examples/common/planted_prompt.hpp"
#include "promptdistill/any_cache_policy.hpp"
#include "promptdistill/model/causal_lm.hpp"
#include "promptdistill/model/sampler.hpp"

namespace promptdistill::examples {

/// A prompt that a method has read, in a cache of one row of its own.
struct ReadPrompt {
  KvCache cache;
  AnyCachePolicy policy;
  at::Tensor last_hidden;  // [1, E]
};

struct BatchReply {
  Ids tokens;
  double seconds = 0;  // its share of the steps after the first token
};

namespace detail {

/// The cache policies of caches that were joined, each asked about its own row as the only one.
struct RowPolicies {
  std::vector<AnyCachePolicy>& rows;

  void evict(const CacheProbe& probe, LayerCache& cache) {
    CacheProbe own = probe;
    own.row = 0;
    rows[static_cast<std::size_t>(probe.row)].evict(own, cache);
  }
};

}  // namespace detail

/// Greedy replies, each ended by a stop token, which is its last one, by `max_new_tokens` or by the
/// model's context. `before_step` may throw. Equal to generate_from's up to the rounding of a
/// product of several rows.
inline std::vector<BatchReply> reply_together(const CausalLm& lm,
                                              std::vector<ReadPrompt> prompts,
                                              std::int64_t max_new_tokens,
                                              const std::set<std::int64_t>& stop_ids,
                                              const std::function<void()>& before_step) {
  const c10::InferenceMode guard;
  std::vector<BatchReply> replies(prompts.size());
  std::vector<std::size_t> live;  // the reply of each row
  std::vector<AnyCachePolicy> policies;
  std::vector<KvCache> caches;
  std::vector<at::Tensor> last;
  for (ReadPrompt& prompt : prompts) {
    live.push_back(live.size());
    caches.push_back(std::move(prompt.cache));
    policies.push_back(std::move(prompt.policy));
    last.push_back(std::move(prompt.last_hidden));
  }
  KvCache cache = KvCache::join(std::move(caches));
  at::Tensor hidden = at::cat(last);
  detail::RowPolicies policy{policies};
  Sampler greedy(SamplingOptions{});
  for (;;) {
    const at::Tensor logits = lm.logits(hidden);
    Ids next;
    std::vector<std::int64_t> going;  // rows
    for (std::size_t row = 0; row < live.size(); ++row) {
      const std::int64_t token = greedy(logits[static_cast<std::int64_t>(row)]);
      Ids& tokens = replies[live[row]].tokens;
      tokens.push_back(token);
      if (stop_ids.contains(token) || std::ssize(tokens) == max_new_tokens ||
          cache.next_position(static_cast<std::int64_t>(row)) == lm.config.context())
        continue;
      going.push_back(static_cast<std::int64_t>(row));
      next.push_back(token);
    }
    if (going.empty()) return replies;
    if (going.size() < live.size()) {
      cache.keep_rows(going);
      for (std::size_t to = 0; to < going.size(); ++to) {
        const auto from = static_cast<std::size_t>(going[to]);
        live[to] = live[from];
        if (to != from) policies[to] = std::move(policies[from]);
      }
      live.resize(going.size());
      policies.erase(policies.begin() + std::ssize(going), policies.end());
    }
    before_step();
    const auto start = std::chrono::steady_clock::now();
    hidden = lm.append(at::tensor(next, at::kLong), std::vector<std::int64_t>(next.size(), 1),
                       cache, policy);
    const std::chrono::duration<double> step = std::chrono::steady_clock::now() - start;
    for (const std::size_t reply : live)
      replies[reply].seconds += step.count() / static_cast<double>(live.size());
  }
}

/// How much every row of a batch is surprised by a reply: -log p of its tokens' mean, in nats.
inline at::Tensor surprise_of(const CausalLm& lm,
                              KvCache cache,
                              at::Tensor last_hidden,  // [B, E]
                              const Ids& reply,
                              const std::function<void()>& before_step) {  // -> [B] double, on CPU
  const c10::InferenceMode guard;
  const std::int64_t batch = cache.batch();
  const std::vector<std::int64_t> one(static_cast<std::size_t>(batch), 1);
  at::Tensor sum = at::zeros({batch}, at::kDouble);
  for (std::size_t i = 0; i < reply.size(); ++i) {
    if (i > 0) {
      before_step();
      last_hidden = lm.append(at::full({batch}, reply[i - 1], at::kLong), one, cache);
    }
    sum.sub_(lm.logits(last_hidden).log_softmax(-1).select(1, reply[i]).to(at::kCPU));
  }
  return sum.div_(static_cast<double>(reply.size()));
}

}  // namespace promptdistill::examples
