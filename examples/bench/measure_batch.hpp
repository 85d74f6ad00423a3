#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Several prompts of different lengths, one after another and packed into one batch.

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "examples/bench/measure.hpp"

namespace promptdistill::examples {

/// Lengths of `count` prompts, evenly up to `longest`.
inline std::vector<std::int64_t> batch_lengths(std::int64_t count, std::int64_t longest) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t i = 1; i <= count; ++i)
    lengths.push_back(std::max<std::int64_t>(1, longest * i / count));
  return lengths;
}

/// Greedy answers to all prompts in one batch: a packed prefill, then one token of every row a
/// step.
inline std::vector<std::vector<std::int64_t>> run_packed(
    const CausalLm& lm,
    const std::vector<std::vector<std::int64_t>>& prompts,
    const MethodOptions& method,
    const RunSettings& settings,
    const LayerProgress& progress = {}) {
  std::vector<std::int64_t> ids, lengths;
  for (const auto& prompt : prompts) {
    ids.insert(ids.end(), prompt.begin(), prompt.end());
    lengths.push_back(std::ssize(prompt));
  }
  PrefillOptions options;
  options.prefill_chunk = settings.prefill_chunk;
  options.placement = method.placement;
  options.max_new_tokens = settings.new_tokens;
  options.progress = [&](const PrefillProgress& at) {
    if (interrupted()) throw Interrupted();
    if (progress) progress(at);
  };
  const AnyDistiller distiller =
      method.kind == MethodKind::kPromptDistill ? make_distiller(method.distill) : AnyDistiller();
  const c10::InferenceMode guard;
  KvCache cache = lm.make_cache(std::ssize(prompts), settings.new_tokens);
  at::Tensor hidden =
      lm.prefill(at::tensor(ids, at::kLong), lengths, cache, distiller, options).last_hidden;
  const std::vector<std::int64_t> one_each(prompts.size(), 1);
  std::vector<std::vector<std::int64_t>> answers(prompts.size());
  for (std::int64_t step = 0; step < settings.new_tokens; ++step) {
    if (interrupted()) throw Interrupted();
    if (step > 0) {
      std::vector<std::int64_t> last;
      for (const auto& answer : answers) last.push_back(answer.back());
      hidden = lm.append(at::tensor(last, at::kLong), one_each, cache);
    }
    const at::Tensor best = lm.logits(hidden).argmax(-1).to(at::kCPU);
    for (std::size_t row = 0; row < answers.size(); ++row)
      answers[row].push_back(best[static_cast<std::int64_t>(row)].item<std::int64_t>());
  }
  return answers;
}

/// Whether run_packed can run it: full attention and PromptDistill.
inline bool packs(const BenchMethod& method) {
  return method.options.kind == MethodKind::kFull ||
         method.options.kind == MethodKind::kPromptDistill;
}

/// A record without the repetition and process that it is of.
inline BatchRecord measure_batch(const CausalLm& lm,
                                 const std::vector<std::vector<std::int64_t>>& prompts,
                                 const BenchMethod& method,
                                 const RunSettings& settings,
                                 const LayerProgress& progress) {
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  BatchRecord record;
  record.method = method.text();
  auto start = Clock::now();
  std::vector<std::vector<std::int64_t>> alone;
  for (const auto& prompt : prompts) {
    record.lengths.push_back(std::ssize(prompt));
    alone.push_back(run_once(lm, prompt, method.options, settings, progress).result.tokens);
  }
  record.one_by_one = seconds_since(start);
  start = Clock::now();
  const auto packed = run_packed(lm, prompts, method.options, settings, progress);
  record.packed = seconds_since(start);
  for (std::size_t row = 0; row < prompts.size(); ++row) {
    record.tokens += std::ssize(packed[row]);
    record.equal_rows += packed[row] == alone[row] ? 1 : 0;
  }
  return record;
}

}  // namespace promptdistill::examples
