#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Medians and ratios of what was measured, method by method, beside what was predicted.

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "examples/bench/bench_method.hpp"
#include "examples/bench/prediction.hpp"
#include "examples/bench/records.hpp"
#include "examples/common/statistics.hpp"

namespace promptdistill::examples {

/// How many times better than a reference: the ratio of medians, and the quartiles of the ratios
/// within each repetition.
struct Ratio3 {
  double of_medians = 0, low = 0, high = 0;
};

/// What stays the same over all methods.
struct SummaryContext {
  ModelConfig config;
  at::ScalarType dtype = at::kFloat;
  std::int64_t new_tokens = 0;
  std::optional<std::int64_t> prefill_chunk;
  std::int64_t weight_bytes_read = 0;  // by a decode step
};

/// One method at one length. Times are there once it ran in turn with others, peaks once it ran
/// alone.
struct MethodSummary {
  std::string suite, label, method;
  std::int64_t length = 0;
  std::vector<double> first_token, step;  // seconds of every repetition; of one decoded token
  std::optional<Ratio3> prefill_speed_up, decode_speed_up;
  std::int64_t cache_bytes = 0;
  KeptTokens kept;
  Prediction predicted;
  std::int64_t step_bytes = 0;  // of weights and cache that an average decode step must read
  std::optional<MemoryRecord> memory;

  bool timed() const { return !first_token.empty(); }
  bool decoded() const { return !step.empty(); }
  double step_bandwidth() const { return static_cast<double>(step_bytes) / median(step); }
};

namespace detail {

/// Median over median, and the quartiles of `reference`[i] / `values`[i].
inline Ratio3 ratio_of(const std::vector<double>& reference, const std::vector<double>& values) {
  std::vector<double> pairs;
  for (std::size_t i = 0; i < values.size(); ++i) pairs.push_back(reference[i] / values[i]);
  return {median(reference) / median(values), quantile(pairs, 0.25), quantile(pairs, 0.75)};
}

inline double step_seconds(const TimeRecord& record) {
  return record.decode / static_cast<double>(record.decoded);
}

}  // namespace detail

/// Times of `method` over those of `reference`, of `value`(record), where both were run in the same
/// repetition by the same process. Nothing where none was.
template <class Value>
std::optional<Ratio3> compare(const std::vector<TimeRecord>& times,
                              const std::string& suite,
                              std::int64_t length,
                              const std::string& method,
                              const std::string& reference,
                              Value&& value) {
  std::vector<double> own, theirs;
  for (const TimeRecord& record : times) {
    if (record.suite != suite || record.length != length || record.method != method) continue;
    for (const TimeRecord& other : times) {
      if (other.suite != suite || other.length != length || other.method != reference ||
          other.repetition != record.repetition || other.process != record.process)
        continue;
      own.push_back(value(record));
      theirs.push_back(value(other));
    }
  }
  if (own.empty()) return std::nullopt;
  return detail::ratio_of(theirs, own);
}

inline MethodSummary summarize(const Records& records,
                               const SummaryContext& context,
                               const std::string& suite,
                               std::int64_t length,
                               const BenchMethod& method) {
  MethodSummary out;
  out.suite = suite;
  out.label = method.label;
  out.method = method.text();
  out.length = length;
  for (const TimeRecord& record : records.times) {
    if (record.suite != suite || record.length != length || record.method != out.method) continue;
    out.first_token.push_back(record.first_token);
    if (record.decoded > 0) out.step.push_back(detail::step_seconds(record));
    out.cache_bytes = record.cache_bytes;
    out.kept = record.kept;
    const ModelConfig& config = context.config;
    std::int64_t rows = 0;  // that an average step reads, of all layers
    for (std::int64_t l = 0; l < config.num_hidden_layers; ++l) {
      const auto at = static_cast<std::size_t>(l);
      const std::int64_t held = (record.rows_after_prefill.at(at) + record.rows_at_end.at(at)) / 2;
      rows += std::min(held, config.window_of(l).value_or(held));
    }
    const std::int64_t row_bytes = 2 * config.num_key_value_heads * config.head_dim *
                                   static_cast<std::int64_t>(at::elementSize(context.dtype));
    out.step_bytes = context.weight_bytes_read + rows * row_bytes;
  }
  const std::string full = to_string(MethodOptions{});
  const auto against_full = [&](auto&& value) {
    return compare(records.times, suite, length, out.method, full, value);
  };
  if (out.timed())
    out.prefill_speed_up =
        against_full([](const TimeRecord& record) { return record.first_token; });
  if (out.decoded()) out.decode_speed_up = against_full(detail::step_seconds);
  for (const MemoryRecord& record : records.memory) {
    if (record.length != length || record.method != out.method) continue;
    out.memory = record;
    out.cache_bytes = record.cache_bytes;
  }
  PlanRequest request;
  request.prompt_tokens = length;
  request.room = context.new_tokens;
  request.dtype = context.dtype;
  request.prefill_chunk = context.prefill_chunk;
  out.predicted = predict(context.config, request, method.options);
  return out;
}

/// One method on one batch of prompts; throughput counts prefill and decode of all rows.
struct BatchSummary {
  std::string label, method;
  std::vector<std::int64_t> lengths;
  std::vector<double> one_by_one, packed;  // seconds of every repetition
  std::int64_t tokens = 0;                 // decoded in each
  std::int64_t equal_rows = 0;             // in the repetition that had fewest

  Ratio3 throughput() const { return detail::ratio_of(one_by_one, packed); }
};

/// Nothing where it did not run.
inline std::optional<BatchSummary> summarize_batch(const Records& records,
                                                   const std::vector<std::int64_t>& lengths,
                                                   const BenchMethod& method) {
  BatchSummary out;
  out.label = method.label;
  out.method = method.text();
  out.lengths = lengths;
  for (const BatchRecord& record : records.batches) {
    if (record.lengths != lengths || record.method != out.method) continue;
    out.equal_rows =
        out.packed.empty() ? record.equal_rows : std::min(out.equal_rows, record.equal_rows);
    out.one_by_one.push_back(record.one_by_one);
    out.packed.push_back(record.packed);
    out.tokens = record.tokens;
  }
  if (out.packed.empty()) return std::nullopt;
  return out;
}

/// One method and all questions about one document.
struct DocumentSummary {
  std::string label, method;
  std::int64_t length = 0;
  double read = 0;                                      // seconds, once; the median over processes
  std::vector<double> first_token, from_nothing, step;  // seconds of every question
  std::vector<double> full_first_token, full_step;      // of full attention's, the same questions
  std::int64_t document_bytes = 0, own_bytes = 0;
  std::int64_t equal_answers = 0;  // of the questions, both ways the same tokens

  std::int64_t bytes() const { return document_bytes + own_bytes; }
};

/// Nothing where it did not run.
inline std::optional<DocumentSummary> summarize_document(const Records& records,
                                                         std::int64_t length,
                                                         const BenchMethod& method) {
  DocumentSummary out;
  out.label = method.label;
  out.method = method.text();
  out.length = length;
  const std::string full = to_string(MethodOptions{});
  std::vector<double> read;
  for (const DocumentRecord& record : records.documents) {
    if (record.length != length || record.method != out.method) continue;
    read.push_back(record.read);
    out.first_token.push_back(record.first_token);
    out.from_nothing.push_back(record.from_nothing);
    out.step.push_back(record.decode / static_cast<double>(record.decoded));
    out.document_bytes = record.document_bytes;
    out.own_bytes = record.own_bytes;
    out.equal_answers += record.equal_tokens == record.decoded + 1 ? 1 : 0;
    for (const DocumentRecord& other : records.documents) {
      if (other.length != length || other.method != full || other.repetition != record.repetition)
        continue;
      out.full_first_token.push_back(other.first_token);
      out.full_step.push_back(other.decode / static_cast<double>(other.decoded));
    }
  }
  if (read.empty() || out.full_step.size() != out.step.size()) return std::nullopt;
  out.read = median(read);
  return out;
}

inline nlohmann::json to_json(const Ratio3& ratio) {
  return {{"ratio_of_medians", ratio.of_medians},
          {"quartiles_within_repetitions", {ratio.low, ratio.high}}};
}

inline nlohmann::json to_json(const BatchSummary& summary) {
  return {{"suite", "batch"},
          {"label", summary.label},
          {"method", summary.method},
          {"prompt_tokens", summary.lengths},
          {"new_tokens", summary.tokens},
          {"rows_equal_to_batch_1", summary.equal_rows},
          {"one_by_one_seconds_of_each", summary.one_by_one},
          {"packed_seconds_of_each", summary.packed},
          {"throughput", to_json(summary.throughput())}};
}

inline nlohmann::json to_json(const DocumentSummary& summary) {
  return {{"suite", "document"},
          {"label", summary.label},
          {"method", summary.method},
          {"document_tokens", summary.length},
          {"read_seconds", summary.read},
          {"first_token_seconds", median(summary.first_token)},
          {"first_token_seconds_of_each", summary.first_token},
          {"from_nothing_seconds_of_each", summary.from_nothing},
          {"against_from_nothing",
           to_json(detail::ratio_of(summary.from_nothing, summary.first_token))},
          {"against_full_prefix_cache",
           to_json(detail::ratio_of(summary.full_first_token, summary.first_token))},
          {"decode_tokens_per_second", 1 / median(summary.step)},
          {"decode_speed_up", to_json(detail::ratio_of(summary.full_step, summary.step))},
          {"document_bytes", summary.document_bytes},
          {"own_bytes", summary.own_bytes},
          {"answers_equal_to_from_nothing", summary.equal_answers}};
}

inline nlohmann::json to_json(const MethodSummary& summary, std::optional<double> bandwidth) {
  using nlohmann::json;
  const auto or_null = [](const auto& value) { return value ? json(*value) : json(); };
  json out{{"suite", summary.suite},
           {"label", summary.label},
           {"method", summary.method},
           {"prompt_tokens", summary.length},
           {"cache_bytes", summary.cache_bytes},
           {"predicted_cache_bytes", or_null(summary.predicted.cache_bytes)},
           {"kept", json::array()}};
  for (const auto& [layer, tokens] : summary.kept)
    out["kept"].push_back({{"layer", layer}, {"tokens", tokens}});
  if (summary.timed()) {
    out["first_token_seconds"] = median(summary.first_token);
    out["first_token_seconds_of_each"] = summary.first_token;
    out["predicted_speed_up"] = or_null(summary.predicted.speed_up);
  }
  if (summary.prefill_speed_up) out["speed_up"] = to_json(*summary.prefill_speed_up);
  if (summary.decoded()) {
    out["decode_tokens_per_second"] = 1 / median(summary.step);
    out["decode_seconds_per_token_of_each"] = summary.step;
    out["decode_bytes_per_token"] = summary.step_bytes;
    out["decode_bytes_per_second"] = summary.step_bandwidth();
    out["decode_share_of_bandwidth"] =
        bandwidth ? json(summary.step_bandwidth() / *bandwidth) : json();
  }
  if (summary.decode_speed_up) out["decode_speed_up"] = to_json(*summary.decode_speed_up);
  if (summary.memory) {
    out["peak_tensor_bytes"] = summary.memory->tensor_peak;
    out["predicted_peak_bytes"] = or_null(summary.predicted.peak_bytes);
    out["peak_rss_bytes"] = summary.memory->rss_peak;
    out["peak_rss_in_all_bytes"] = summary.memory->rss_in_all;
    if (summary.memory->device_peak > 0)
      out["peak_device_allocator_bytes"] = summary.memory->device_peak;
  }
  return out;
}

}  // namespace promptdistill::examples
