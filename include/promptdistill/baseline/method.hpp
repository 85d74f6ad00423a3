#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Full attention, PromptDistill and its rivals behind one call: the one switch from a method's name
// to what it does.

#include <ATen/ATen.h>

#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "promptdistill/any_cache_policy.hpp"
#include "promptdistill/any_distiller.hpp"
#include "promptdistill/baseline/fast_kv.hpp"
#include "promptdistill/baseline/gem_filter.hpp"
#include "promptdistill/baseline/h2o.hpp"
#include "promptdistill/baseline/snap_kv.hpp"
#include "promptdistill/baseline/streaming_llm.hpp"
#include "promptdistill/model/causal_lm.hpp"
#include "promptdistill/model/generate.hpp"
#include "promptdistill/options.hpp"

namespace promptdistill {

enum class MethodKind {
  kFull,
  kPromptDistill,
  kGemFilter,          // the authors' form
  kGemFilterImproved,  // the same tokens for less
  kSnapKv,
  kH2o,
  kStreamingLlm,
  kFastKv,
};

/// A method and its settings; those of other methods are not looked at.
struct MethodOptions {
  MethodKind kind = MethodKind::kFull;
  DistillOptions distill;
  Placement placement = Placement::kBefore;  // of kPromptDistill
  GemFilterOptions gem_filter;               // of both forms
  SnapKvOptions snap_kv;
  H2oOptions h2o;
  StreamingLlmOptions streaming_llm;
  FastKvOptions fast_kv;
};

/// The policies that a method runs a prompt with; GemFilter reads what it kept in full.
struct MethodPolicies {
  AnyDistiller distiller;
  AnyCachePolicy cache_policy;
};

/// Throws c10::ValueError where a setting of the chosen method breaks its rule.
inline MethodPolicies make_policies(const MethodOptions& method) {
  switch (method.kind) {
    case MethodKind::kPromptDistill:
      return {make_distiller(method.distill), {}};
    case MethodKind::kSnapKv:
      return {{}, SnapKv(method.snap_kv)};
    case MethodKind::kH2o:
      return {{}, H2o(method.h2o)};
    case MethodKind::kStreamingLlm:
      return {{}, StreamingLlm(method.streaming_llm)};
    case MethodKind::kFastKv: {
      FastKv policy(method.fast_kv);
      SnapKv cache_policy = policy.cache_policy();
      return {std::move(policy), std::move(cache_policy)};
    }
    case MethodKind::kFull:
    case MethodKind::kGemFilter:
    case MethodKind::kGemFilterImproved:
      break;
  }
  return {};
}

inline bool is_gem_filter(MethodKind kind) {
  return kind == MethodKind::kGemFilter || kind == MethodKind::kGemFilterImproved;
}

inline GemFilterForm gem_filter_form(MethodKind kind) {
  return kind == MethodKind::kGemFilter ? GemFilterForm::kAuthors : GemFilterForm::kImproved;
}

/// The tokens that a filter pass kept of a prompt: all that GemFilter answers from.
inline std::vector<std::int64_t> filtered_ids(const std::vector<std::int64_t>& prompt,
                                              const GemFilterChoice& choice) {
  const at::Tensor host = choice.positions.to(at::kCPU).contiguous();
  std::vector<std::int64_t> kept;
  for (std::int64_t i = 0; i < host.numel(); ++i)
    kept.push_back(prompt[static_cast<std::size_t>(host.const_data_ptr<std::int64_t>()[i])]);
  return kept;
}

/// Reads them in full, into an empty cache; the result names what was kept as a stage, by its
/// positions in the whole prompt.
inline PrefillResult read_filtered(const CausalLm& lm,
                                   const std::vector<std::int64_t>& kept,
                                   GemFilterChoice choice,
                                   std::int64_t layer,
                                   const PrefillOptions& options,
                                   KvCache& cache) {
  const std::int64_t count = std::ssize(kept);
  PrefillResult result =
      lm.prefill(at::tensor(kept, at::kLong), {count}, cache, AnyDistiller(), options);
  result.stages.push_back(
      {layer, std::move(choice.positions), {0, count}, {std::move(choice.scores)}});
  return result;
}

namespace detail {

/// The filter pass, then the kept tokens: seconds count both. Nothing of the pass is held while the
/// tokens are read.
inline GenerateResult run_gem_filter(const CausalLm& lm,
                                     const std::vector<std::int64_t>& prompt,
                                     const MethodOptions& method,
                                     const GenerateOptions& options,
                                     KvCache& cache) {
  const auto start = std::chrono::steady_clock::now();
  const PrefillOptions prefill = options.prefill_with_room();
  GemFilterChoice choice =
      gem_filter(lm, prompt, method.gem_filter, gem_filter_form(method.kind), prefill);
  const std::vector<std::int64_t> kept = filtered_ids(prompt, choice);
  PrefillResult read =
      read_filtered(lm, kept, std::move(choice), method.gem_filter.layer, prefill, cache);
  const double seconds = seconds_since(start);
  GenerateResult result = generate_from(lm, kept, std::move(read), cache, options);
  result.prefill_seconds += seconds;
  return result;
}

}  // namespace detail

/// Throws c10::ValueError where a setting of the chosen method breaks its rule, whatever the model.
inline void check_settings(const MethodOptions& method) {
  if (is_gem_filter(method.kind)) check(method.gem_filter);
  make_policies(method);
}

/// The same, and throws c10::IndexError where the method does not fit a model of `layers` layers
/// and `heads` query heads.
inline void check(const MethodOptions& method, std::int64_t layers, std::int64_t heads) {
  if (is_gem_filter(method.kind)) check(method.gem_filter, layers);
  make_policies(method).distiller.check(layers, heads);
}

/// Answers one prompt by a method, from an empty cache. The result is generate's; GemFilter's names
/// what its pass kept as its stage. Throws what check and generate throw.
inline GenerateResult run_method(const CausalLm& lm,
                                 const std::vector<std::int64_t>& prompt,
                                 const MethodOptions& method,
                                 const GenerateOptions& options,
                                 KvCache& cache) {
  check(method, lm.layers(), lm.config.num_attention_heads);
  if (is_gem_filter(method.kind)) return detail::run_gem_filter(lm, prompt, method, options, cache);
  MethodPolicies policies = make_policies(method);
  GenerateOptions chosen = options;
  chosen.prefill.placement =
      method.kind == MethodKind::kPromptDistill ? method.placement : Placement::kBefore;
  return generate(lm, prompt, cache, policies.distiller, chosen, std::move(policies.cache_policy));
}

}  // namespace promptdistill
