#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// One document and question after question: asked of what was read of it once, and run from
// nothing.

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "examples/bench/measure.hpp"
#include "examples/bench/measure_batch.hpp"
#include "promptdistill/model/document.hpp"

namespace promptdistill::examples {

inline constexpr std::int64_t kQuestionTokens = 24;

/// Question `number`: other tokens of the document, in an order it does not have.
inline std::vector<std::int64_t> question_of(const std::vector<std::int64_t>& document,
                                             std::int64_t number) {
  std::vector<std::int64_t> question;
  for (std::int64_t i = 0; i < kQuestionTokens; ++i)
    question.push_back(
        document[static_cast<std::size_t>((number * 131 + i * 37 + 11) % std::ssize(document))]);
  return question;
}

/// What a method keeps of a document: a Document where it distils; for full attention the cache of
/// all layers, which every question goes on from.
class HeldDocument {
 public:
  HeldDocument(const CausalLm& lm,
               const std::vector<std::int64_t>& ids,
               const BenchMethod& method,
               const RunSettings& settings,
               const LayerProgress& progress)
      : lm_(lm), ids_(ids), method_(method), settings_(settings), full_(lm.make_cache()) {
    const auto start = promptdistill::detail::Clock::now();
    const std::int64_t total = std::ssize(ids) + kQuestionTokens + settings.new_tokens;
    PrefillOptions options = reading(progress);
    const at::Tensor tensor = at::tensor(ids, at::kLong);
    if (method.options.kind == MethodKind::kPromptDistill) {
      policy_ = make_distiller(method.options.distill);
      document_ = Document::read(lm, tensor, first_stage(policy_, lm.layers()), total, options);
    } else {
      options.max_new_tokens = total - std::ssize(ids);
      lm.prefill(tensor, {std::ssize(ids)}, full_, NoDistill{}, options);
      full_.freeze();
    }
    synchronize(lm.device());
    read_seconds_ = promptdistill::detail::seconds_since(start);
  }

  double read_seconds() const { return read_seconds_; }
  std::size_t bytes() const { return document_ ? document_->bytes() : full_.bytes(); }

  struct Asked {
    GenerateResult result;
    std::size_t own_bytes;  // of the cache beyond the document's, at the end
  };
  Asked ask(const std::vector<std::int64_t>& question, const LayerProgress& progress) const {
    GenerateOptions options;
    options.max_new_tokens = settings_.new_tokens;
    options.prefill = reading(progress);
    options.on_token = [](std::int64_t) { return !interrupted(); };
    KvCache cache = lm_.make_cache(1, settings_.new_tokens);
    GenerateResult result = [&] {
      if (document_) return document_->ask(question, cache, policy_, options);
      cache = full_.fork(settings_.new_tokens);
      const auto prefill = [&] {
        return PrefillResult{
            lm_.append(at::tensor(question, at::kLong), {std::ssize(question)}, cache), {}};
      };
      return generate_after(prefill, lm_, whole(question), cache, options);
    }();
    if (interrupted()) throw Interrupted();
    return {std::move(result), cache.bytes() - cache.frozen_bytes()};
  }

  std::vector<std::int64_t> whole(const std::vector<std::int64_t>& question) const {
    std::vector<std::int64_t> all = ids_;
    all.insert(all.end(), question.begin(), question.end());
    return all;
  }

 private:
  PrefillOptions reading(const LayerProgress& progress) const {
    PrefillOptions options;
    options.placement = method_.options.placement;
    options.prefill_chunk = settings_.prefill_chunk;
    options.progress = [progress](const PrefillProgress& at) {
      if (interrupted()) throw Interrupted();
      if (progress) progress(at);
    };
    return options;
  }

  const CausalLm& lm_;
  std::vector<std::int64_t> ids_;
  BenchMethod method_;
  RunSettings settings_;
  AnyDistiller policy_;
  std::optional<Document> document_;
  KvCache full_;
  double read_seconds_ = 0;
};

/// Asks question `number` and runs document and question from nothing as well; a record without the
/// process that it is of.
inline DocumentRecord measure_document(const CausalLm& lm,
                                       const HeldDocument& held,
                                       const std::vector<std::int64_t>& document,
                                       const BenchMethod& method,
                                       std::int64_t number,
                                       const RunSettings& settings,
                                       const LayerProgress& progress) {
  const std::vector<std::int64_t> question = question_of(document, number);
  const HeldDocument::Asked asked = held.ask(question, progress);
  const Run again = run_once(lm, held.whole(question), method.options, settings, progress);
  const auto [own, other] = std::mismatch(asked.result.tokens.begin(), asked.result.tokens.end(),
                                          again.result.tokens.begin(), again.result.tokens.end());
  static_cast<void>(other);
  return {.method = method.text(),
          .length = std::ssize(document),
          .repetition = number,
          .process = 0,
          .read = held.read_seconds(),
          .first_token = asked.result.prefill_seconds,
          .from_nothing = again.result.prefill_seconds,
          .decode = asked.result.decode_seconds,
          .decoded = std::ssize(asked.result.tokens) - 1,
          .document_bytes = static_cast<std::int64_t>(held.bytes()),
          .own_bytes = static_cast<std::int64_t>(asked.own_bytes),
          .equal_tokens = own - asked.result.tokens.begin()};
}

}  // namespace promptdistill::examples
