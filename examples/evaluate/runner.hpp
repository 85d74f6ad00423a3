#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Runs the settings that a sample still lacks. Those that only differ from some layer on share what
// lies before it.

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "examples/common/decode_with.hpp"
#include "examples/common/machine.hpp"
#include "examples/common/methods.hpp"
#include "examples/common/model_description.hpp"
#include "examples/common/progress.hpp"
#include "examples/common/selection_signals.hpp"
#include "examples/evaluate/results.hpp"
#include "examples/evaluate/task.hpp"
#include "promptdistill/baseline/method.hpp"
#include "promptdistill/model/causal_lm.hpp"
#include "promptdistill/model/generate.hpp"

namespace promptdistill::examples {

namespace detail {

/// The layer up to which a method runs every token as full attention does; nothing where it evicts
/// or reads the prompt in another way.
inline std::optional<std::int64_t> first_stage(const MethodOptions& method, std::int64_t layers) {
  if (method.kind == MethodKind::kFull) return layers;
  if (method.kind != MethodKind::kPromptDistill || method.distill.stages.empty()) return {};
  return method.distill.stages.front().layer;
}

inline double share_within(const at::Tensor& positions, const std::vector<TokenRange>& ranges) {
  std::int64_t inside = 0, all = 0;
  for (const TokenRange& range : ranges) {
    inside +=
        positions.ge(range.begin).logical_and_(positions.lt(range.end)).sum().item<std::int64_t>();
    all += range.end - range.begin;
  }
  return static_cast<double>(inside) / static_cast<double>(all);
}

/// Rows of a layer's cache after prefill as a share of the prompt's tokens, averaged over layers.
inline double mean_share(const std::vector<std::int64_t>& rows, std::int64_t tokens) {
  const auto all = static_cast<double>(tokens) * static_cast<double>(rows.size());
  return static_cast<double>(std::accumulate(rows.begin(), rows.end(), std::int64_t{0})) / all;
}

}  // namespace detail

inline std::string prompt_hash(const Sample& sample) {
  return short_hash(nlohmann::json(sample.ids).dump());
}

/// How replies are made.
struct ReplySettings {
  std::set<std::int64_t> stop_ids;
  std::function<std::string(const Ids&)> text_of;
  std::function<Ids(const std::string&)> ids_of;
  bool share = true;  // run layers that settings have in common once
};

/// Called before every layer with the setting under way.
using SettingProgress = std::function<void(const std::string& method, const PrefillProgress&)>;

class ReplyRunner {
 public:
  ReplyRunner(const CausalLm& lm, const Task& task, ReplySettings settings)
      : lm_(lm), task_(task), settings_(std::move(settings)) {}

  /// Answers `sample` by every method and hands over each record as soon as it is there.
  void run(const Sample& sample,
           const std::vector<Method>& methods,
           const SettingProgress& progress,
           const std::function<void(ReplyRecord)>& done) const {
    std::vector<const Method*> alone;
    std::multimap<std::int64_t, const Method*> by_layer;
    for (const Method& method : methods) {
      const auto layer = detail::first_stage(method.options, lm_.layers());
      if (layer && settings_.share)
        by_layer.emplace(*layer, &method);
      else
        alone.push_back(&method);
    }
    if (by_layer.size() == 1 && sample.expected.empty()) {
      alone.push_back(by_layer.begin()->second);
      by_layer.clear();
    }
    for (const Method* method : alone) {
      KvCache cache = lm_.make_cache(1, sample.max_new_tokens);
      const GenerateResult result = run_method(lm_, sample.ids, method->options,
                                               options_for(sample, *method, progress), cache);
      done(record_of(sample, *method, result, false));
    }
    if (!by_layer.empty()) run_shared(sample, by_layer, progress, done);
  }

 private:
  GenerateOptions options_for(const Sample& sample,
                              const Method& method,
                              const SettingProgress& progress) const {
    GenerateOptions options;
    options.decode_with = fastest_decode();
    options.max_new_tokens = sample.max_new_tokens;
    options.stop_ids = settings_.stop_ids;
    options.on_token = [](std::int64_t) { return !interrupted(); };
    options.prefill.max_new_tokens = sample.max_new_tokens;
    options.prefill.placement = method.options.placement;
    options.prefill.progress = [&progress, name = method.name](const PrefillProgress& at) {
      if (interrupted()) throw Interrupted();
      if (progress) progress(name, at);
    };
    return options;
  }

  /// All tokens run up to one method's first stage after another's; each goes on from a copy of the
  /// cache. A prefill's seconds are those of the layers before its stage and its own.
  void run_shared(const Sample& sample,
                  const std::multimap<std::int64_t, const Method*>& by_layer,
                  const SettingProgress& progress,
                  const std::function<void(ReplyRecord)>& done) const {
    const auto since = [&](std::chrono::steady_clock::time_point start) {
      synchronize(lm_.device());
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    KvCache cache = lm_.make_cache(1, sample.max_new_tokens);
    const GenerateOptions first = options_for(sample, *by_layer.begin()->second, progress);
    auto start = std::chrono::steady_clock::now();
    PartialPrefill partial = lm_.begin_prefill(at::tensor(sample.ids, at::kLong),
                                               {std::ssize(sample.ids)}, cache, first.prefill);
    double shared_seconds = since(start);
    for (auto entry = by_layer.begin(); entry != by_layer.end(); ++entry) {
      const auto& [layer, method] = *entry;
      const GenerateOptions options = options_for(sample, *method, progress);
      if (layer > partial.layer && layer < lm_.layers()) {
        start = std::chrono::steady_clock::now();
        lm_.run_to(partial, layer, cache, options.prefill);
        shared_seconds += since(start);
      }
      // The last one may have the cache itself.
      KvCache own = std::next(entry) == by_layer.end() ? std::move(cache) : cache.fork();
      start = std::chrono::steady_clock::now();
      const AnyDistiller distiller = method->options.kind == MethodKind::kFull
                                         ? AnyDistiller()
                                         : make_distiller(method->options.distill);
      PrefillResult prefilled = lm_.finish_prefill(partial, own, distiller, options.prefill);
      const double seconds = since(start);
      nlohmann::json nll;
      if (!sample.expected.empty() && settings_.ids_of)
        nll = expected_nll(prefilled.last_hidden, own.fork(), settings_.ids_of(sample.expected));
      GenerateResult result = generate_from(lm_, sample.ids, std::move(prefilled), own, options);
      result.prefill_seconds += shared_seconds + seconds;
      ReplyRecord record = record_of(sample, *method, result, true);
      record.nll = std::move(nll);
      done(std::move(record));
    }
  }

  /// What a right reply's tokens surprise the model with, in nats each: finer than whether the
  /// reply that it gives is right.
  double expected_nll(const at::Tensor& last_hidden, KvCache cache, const Ids& reply) const {
    double sum = 0;
    at::Tensor hidden = last_hidden;
    for (std::size_t i = 0; i < reply.size(); ++i) {
      sum -= lm_.logits(hidden)[0].to(at::kFloat).log_softmax(-1)[reply[i]].item<double>();
      if (i + 1 < reply.size()) hidden = lm_.append(at::tensor({reply[i]}, at::kLong), {1}, cache);
    }
    return sum / static_cast<double>(std::max<std::size_t>(reply.size(), 1));
  }

  ReplyRecord record_of(const Sample& sample,
                        const Method& method,
                        const GenerateResult& result,
                        bool shared) const {
    if (interrupted()) throw Interrupted();
    ReplyRecord record;
    record.sample = sample.id;
    record.prompt = prompt_hash(sample);
    record.method = to_string(method.options);
    record.about = sample.about;
    record.about.erase("classes");
    record.tokens = std::ssize(sample.ids);
    if (!result.stages.empty()) {
      const at::Tensor& kept = result.stages.back().kept_positions;
      record.kept = static_cast<double>(kept.numel()) / static_cast<double>(record.tokens);
      if (!sample.needles.empty()) record.recall = detail::share_within(kept, sample.needles);
      if (const auto signals = selection_signals(result.stages, record.tokens))
        record.signals = *signals;
    } else {
      // What a cache policy keeps differs from head to head: known is how much, not which tokens.
      record.kept = detail::mean_share(result.cache_rows, record.tokens);
      if (!sample.needles.empty() && record.kept == 1) record.recall = 1;
    }
    record.reply = settings_.text_of(result.tokens);
    record.score = task_.score(sample, record.reply);
    record.prefill = result.prefill_seconds;
    record.decode = result.decode_seconds;
    record.decoded = std::ssize(result.tokens);
    record.cache_bytes = static_cast<std::int64_t>(result.cache_bytes);
    record.shared = shared;
    return record;
  }

  const CausalLm& lm_;
  const Task& task_;
  ReplySettings settings_;
};

}  // namespace promptdistill::examples
