#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Runs the settings that a sample still lacks. Those that only differ from some layer on share what
// lies before it.

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
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
#include "examples/evaluate/noted_probes.hpp"
#include "examples/evaluate/reply_batch.hpp"
#include "examples/evaluate/results.hpp"
#include "examples/evaluate/score_strips.hpp"
#include "examples/evaluate/task.hpp"
#include "promptdistill/baseline/gem_filter.hpp"
#include "promptdistill/baseline/h2o.hpp"
#include "promptdistill/baseline/method.hpp"
#include "promptdistill/model/causal_lm.hpp"
#include "promptdistill/model/generate.hpp"

namespace promptdistill::examples {

namespace detail {

/// The layer up to which a method runs every token as full attention does. What a cache policy
/// evicts is missing from the answer on, and not from the prompt.
inline std::int64_t first_stage(const MethodOptions& method, std::int64_t layers) {
  switch (method.kind) {
    case MethodKind::kPromptDistill:
      return method.distill.stages.empty() ? layers : method.distill.stages.front().layer;
    case MethodKind::kGemFilter:
    case MethodKind::kGemFilterImproved:
      return method.gem_filter.layer;
    case MethodKind::kFastKv:
      return method.fast_kv.layer;
    case MethodKind::kFull:
    case MethodKind::kSnapKv:
    case MethodKind::kH2o:
    case MethodKind::kStreamingLlm:
      break;
  }
  return layers;
}

/// How many of a prompt's last queries a method's cache policy looks at.
inline std::int64_t noted_queries(const MethodOptions& method, std::int64_t tokens) {
  switch (method.kind) {
    case MethodKind::kSnapKv:
      return method.snap_kv.window;
    case MethodKind::kFastKv:
      return method.fast_kv.window;
    case MethodKind::kH2o:
      return tokens;
    case MethodKind::kStreamingLlm:
      return 1;
    case MethodKind::kFull:
    case MethodKind::kPromptDistill:
    case MethodKind::kGemFilter:
    case MethodKind::kGemFilterImproved:
      break;
  }
  return 0;
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
    if (settings_.share && (methods.size() > 1 || !sample.expected.empty())) {
      std::multimap<std::int64_t, const Method*> by_layer;
      for (const Method& method : methods)
        by_layer.emplace(detail::first_stage(method.options, lm_.layers()), &method);
      return run_shared(sample, by_layer, progress, done);
    }
    for (const Method& method : methods) {
      KvCache cache = lm_.make_cache(1, sample.max_new_tokens);
      const GenerateResult result =
          run_method(lm_, sample.ids, method.options, options_for(sample, method, progress), cache);
      done(record_of(sample, method, result, false));
    }
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

  /// What settings that share a prompt have made of it so far.
  struct Shared {
    KvCache cache;
    PartialPrefill partial;
    NotedProbes notes;
    double seconds = 0;                 // of all layers that were run
    std::optional<PrefillResult> full;  // once the last one was
    std::optional<H2o> sums;            // of all attention, once an H2O asked for them
    double sum_seconds = 0;
  };

  /// A setting that has read the prompt and waits for its reply.
  struct Waiting {
    const Method* method;
    ReadPrompt read;
    GenerateResult result;  // what reading says of it
  };

  /// All tokens run up to one method's first stage after another's; each goes on from a copy of the
  /// cache. A prefill's seconds are those of the layers before its stage and its own. Replies are
  /// decoded together, as many as have room.
  void run_shared(const Sample& sample,
                  const std::multimap<std::int64_t, const Method*>& by_layer,
                  const SettingProgress& progress,
                  const std::function<void(ReplyRecord)>& done) const {
    const std::int64_t tokens = std::ssize(sample.ids);
    std::int64_t queries = 0;
    for (const auto& [layer, method] : by_layer)
      queries = std::max(queries, detail::noted_queries(method->options, tokens));
    KvCache cache = lm_.make_cache(1, sample.max_new_tokens);
    const GenerateOptions first = options_for(sample, *by_layer.begin()->second, progress);
    PartialPrefill partial =
        lm_.begin_prefill(at::tensor(sample.ids, at::kLong), {tokens}, cache, first.prefill);
    Shared shared{std::move(cache), std::move(partial), NotedProbes(queries), 0, {}, {}, 0};
    std::vector<Waiting> waiting;
    std::size_t held = 0;  // bytes of their caches
    const auto answer = [&] {
      answer_waiting(sample, std::exchange(waiting, {}), done);
      held = 0;
    };
    for (const auto& [layer, method] : by_layer) {
      const GenerateOptions options = options_for(sample, *method, progress);
      shared.seconds += timed([&] {
        if (layer == lm_.layers() && !shared.full)
          shared.full = lm_.finish_prefill(shared.partial, shared.cache, AnyDistiller(),
                                           options.prefill, shared.notes);
        else if (layer > shared.partial.layer && layer < lm_.layers())
          lm_.run_to(shared.partial, layer, shared.cache, options.prefill, shared.notes);
      });
      waiting.push_back(read_shared(sample, *method, shared, options));
      held += waiting.back().result.cache_bytes;
      constexpr std::size_t kRoom = std::size_t{1} << 30;
      if (held > std::max(kRoom, shared.cache.bytes())) answer();
    }
    answer();
  }

  Waiting read_shared(const Sample& sample,
                      const Method& method,
                      Shared& shared,
                      const GenerateOptions& options) const {
    const c10::InferenceMode guard;
    const MethodOptions& chosen = method.options;
    KvCache own = shared.cache.fork();
    MethodPolicies policies = make_policies(chosen);
    PrefillResult prefilled;
    double seconds = timed([&] {
      if (is_gem_filter(chosen.kind)) {
        GemFilterChoice choice = gem_filter_from(lm_, shared.partial, own, chosen.gem_filter,
                                                 gem_filter_form(chosen.kind), options.prefill);
        own = lm_.make_cache(1, sample.max_new_tokens);
        const Ids kept = filtered_ids(sample.ids, choice);
        prefilled = read_filtered(lm_, kept, std::move(choice), chosen.gem_filter.layer,
                                  options.prefill, own);
        return;
      }
      if (chosen.kind == MethodKind::kH2o)
        policies.cache_policy = cut_by_sums(shared, chosen.h2o, own);
      else
        shared.notes.replay(policies.cache_policy, own);
      prefilled = shared.full ? *shared.full
                              : lm_.finish_prefill(shared.partial, own, policies.distiller,
                                                   options.prefill, policies.cache_policy);
    });
    if (chosen.kind == MethodKind::kH2o) seconds += shared.sum_seconds;
    GenerateResult result{};
    result.stages = std::move(prefilled.stages);
    result.cache_rows = own.rows();
    result.cache_bytes = own.bytes();
    result.prefill_seconds = shared.seconds + seconds;
    return {&method,
            {std::move(own), std::move(policies.cache_policy), std::move(prefilled.last_hidden)},
            std::move(result)};
  }

  void answer_waiting(const Sample& sample,
                      std::vector<Waiting> waiting,
                      const std::function<void(ReplyRecord)>& done) const {
    if (waiting.empty()) return;
    const auto before_step = [] {
      if (interrupted()) throw Interrupted();
    };
    const std::vector<nlohmann::json> nll = expected_nll(sample, waiting, before_step);
    std::vector<ReadPrompt> prompts;
    for (Waiting& each : waiting) prompts.push_back(std::move(each.read));
    std::vector<BatchReply> replies = reply_together(lm_, std::move(prompts), sample.max_new_tokens,
                                                     settings_.stop_ids, before_step);
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      GenerateResult& result = waiting[i].result;
      result.tokens = std::move(replies[i].tokens);
      result.decode_seconds = replies[i].seconds;
      ReplyRecord record = record_of(sample, *waiting[i].method, result, true);
      record.nll = nll[i];
      done(std::move(record));
    }
  }

  /// H2O of the whole prompt from sums that are made once, where attention over all of it is what
  /// H2O takes its time for.
  H2o cut_by_sums(Shared& shared, const H2oOptions& options, KvCache& cache) const {
    if (!shared.sums) {
      shared.sum_seconds = timed([&] {
        constexpr std::int64_t kAll = std::numeric_limits<std::int32_t>::max();
        shared.sums.emplace(H2oOptions{kAll, kAll});
        shared.notes.replay(*shared.sums, shared.cache);
      });
    }
    H2o policy = shared.sums->with(options);
    for (const CacheProbe& probe : shared.notes.probes())
      policy.cut(probe.row, probe.layer, cache.at(probe.row, probe.layer), probe.room);
    return policy;
  }

  template <class Work>
  double timed(const Work& work) const {  // seconds
    const auto start = std::chrono::steady_clock::now();
    work();
    synchronize(lm_.device());
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  /// What a right reply's tokens surprise the model with, in nats each: finer than whether the
  /// reply that it gives is right. null where it is not known what is right, and where a policy
  /// evicts while decoding.
  std::vector<nlohmann::json> expected_nll(const Sample& sample,
                                           const std::vector<Waiting>& waiting,
                                           const std::function<void()>& before_step) const {
    std::vector<nlohmann::json> nll(waiting.size());
    if (sample.expected.empty() || !settings_.ids_of) return nll;
    std::vector<std::size_t> asked;
    std::vector<KvCache> caches;
    std::vector<at::Tensor> last;
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      if (!evicts_prompt_only(waiting[i].read.policy)) continue;
      asked.push_back(i);
      caches.push_back(waiting[i].read.cache.fork());
      last.push_back(waiting[i].read.last_hidden);
    }
    const Ids expected = settings_.ids_of(sample.expected);
    if (asked.empty() || expected.empty()) return nll;
    const at::Tensor surprise =
        surprise_of(lm_, KvCache::join(std::move(caches)), at::cat(last), expected, before_step);
    for (std::size_t a = 0; a < asked.size(); ++a)
      nll[asked[a]] = surprise.const_data_ptr<double>()[a];
    return nll;
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
      if (const auto strips = score_strips(result.stages, record.tokens); !strips.empty())
        record.strips = strips;
      const auto share = [&](std::int64_t position) {
        return static_cast<double>(position) / static_cast<double>(record.tokens);
      };
      for (const TokenRange& range : sample.needles)
        record.needles.push_back({share(range.begin), share(range.end)});
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
