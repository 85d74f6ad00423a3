#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What was measured, in tables for a terminal and a page alike.

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "examples/bench/measure_document.hpp"
#include "examples/bench/summary.hpp"
#include "examples/common/table.hpp"
#include "examples/common/units.hpp"

namespace promptdistill::examples {

struct ReportTable {
  std::string title, note;  // the note may be empty
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;

  std::string text() const {
    Table table(head);
    for (const auto& row : rows) table.add(row);
    return fmt::format("\n{}\n{}{}", title, table.text(), note.empty() ? "" : wrapped("  ", note));
  }
};

namespace detail {

inline std::string seconds_text(double seconds) {
  if (seconds < 1) return fmt::format("{:.1f} ms", 1000 * seconds);
  return fmt::format("{:.2f} s", seconds);
}

/// "2.05x (2.01-2.08)".
inline std::string ratio_text(const std::optional<Ratio3>& ratio) {
  if (!ratio) return "-";
  return fmt::format("{:.2f}x ({:.2f}-{:.2f})", ratio->of_medians, ratio->low, ratio->high);
}

inline std::string times_text(const std::optional<double>& ratio) {
  return ratio ? fmt::format("{:.2f}x", *ratio) : "-";
}

inline std::string kept_text(const KeptTokens& kept) {
  std::string text;
  for (const auto& [layer, tokens] : kept) {
    if (!text.empty()) text += ' ';
    text += fmt::format("{}:{}", layer, tokens);
  }
  return text.empty() ? "all" : text;
}

inline std::string megabytes(std::int64_t bytes) {
  return fmt::format("{:.2f}", static_cast<double>(bytes) / (1 << 20));
}

inline std::string share_text(std::int64_t bytes, std::int64_t of) {
  return of > 0 ? fmt::format("{:.2f}", static_cast<double>(bytes) / static_cast<double>(of)) : "-";
}

/// Equal to the planner's to the byte, what the planner says where it differs, or "-".
inline std::string formula_text(std::int64_t bytes, const std::optional<std::int64_t>& predicted) {
  if (!predicted) return "-";
  return *predicted == bytes ? "equal" : megabytes(*predicted);
}

}  // namespace detail

/// `all` begins with full attention.
inline ReportTable prefill_table(const std::string& title, const std::vector<MethodSummary>& all) {
  ReportTable table{title + ": first token", "", {}, {}};
  table.head = {"method",    "kept per stage", "first token", "speed-up (quartiles)",
                "predicted", "cache MiB",      "formula"};
  for (const MethodSummary& summary : all) {
    if (!summary.timed()) continue;
    table.rows.push_back(
        {summary.label, detail::kept_text(summary.kept),
         detail::seconds_text(median(summary.first_token)),
         detail::ratio_text(summary.prefill_speed_up),
         detail::times_text(summary.predicted.speed_up), detail::megabytes(summary.cache_bytes),
         detail::formula_text(summary.cache_bytes, summary.predicted.cache_bytes)});
  }
  return table;
}

inline ReportTable decode_table(const std::string& title,
                                const std::vector<MethodSummary>& all,
                                std::optional<double> bandwidth) {
  ReportTable table{title + ": decode", "", {}, {}};
  table.head = {"method", "tokens/s",    "of full (quartiles)", "read per token, MiB",
                "GB/s",   "of the bound"};
  for (const MethodSummary& summary : all) {
    if (!summary.decoded()) continue;
    table.rows.push_back(
        {summary.label, fmt::format("{:.1f}", 1 / median(summary.step)),
         detail::ratio_text(summary.decode_speed_up), detail::megabytes(summary.step_bytes),
         fmt::format("{:.1f}", summary.step_bandwidth() / 1e9),
         bandwidth ? fmt::format("{:.0f} %", 100 * summary.step_bandwidth() / *bandwidth) : "-"});
  }
  if (bandwidth) {
    table.note = fmt::format(
        "A step must read the weights and the cache once; this machine reads {:.1f} GB/s with "
        "these threads (a sum over 256 MiB).",
        *bandwidth / 1e9);
  }
  return table;
}

inline ReportTable memory_table(const std::string& title, const std::vector<MethodSummary>& all) {
  ReportTable table{title + ": peak memory above the weights, each method in a process of its own",
                    "Tensors: storage that LibTorch allocated for the calling thread. RSS: the "
                    "process's peak in RAM above "
                    "that after a 16-token warm-up.",
                    {},
                    {}};
  table.head = {"method", "tensors MiB", "of full", "planned", "RSS MiB", "of full", "cache MiB"};
  const bool device = std::any_of(all.begin(), all.end(), [](const MethodSummary& summary) {
    return summary.memory && summary.memory->device_peak > 0;
  });
  if (device) table.head.push_back("device MiB");
  const MethodSummary* const full = !all.empty() && all.front().memory ? &all.front() : nullptr;
  for (const MethodSummary& summary : all) {
    if (!summary.memory) continue;
    const MemoryRecord& own = *summary.memory;
    table.rows.push_back(
        {summary.label, detail::megabytes(own.tensor_peak),
         full ? detail::share_text(own.tensor_peak, full->memory->tensor_peak) : "-",
         summary.predicted.peak_bytes ? detail::megabytes(*summary.predicted.peak_bytes) : "-",
         detail::megabytes(own.rss_peak),
         full ? detail::share_text(own.rss_peak, full->memory->rss_peak) : "-",
         detail::megabytes(own.cache_bytes)});
    if (device) table.rows.back().push_back(detail::megabytes(own.device_peak));
  }
  return table;
}

inline ReportTable batch_table(const std::vector<BatchSummary>& all) {
  const auto& lengths = all.front().lengths;
  ReportTable table{
      fmt::format("{} prompts of {} to {} tokens: packed into one batch, against one after another",
                  lengths.size(), grouped(lengths.front()), grouped(lengths.back())),
      "Tokens per second count prefill and decode of all prompts. Rows equal: their tokens are "
      "those of the prompt alone; in bfloat16 sums of another order may choose another token.",
      {"method", "one by one", "packed", "throughput (quartiles)", "rows equal"},
      {}};
  const auto rate = [](std::int64_t tokens, const std::vector<double>& seconds) {
    return fmt::format("{:.1f} tok/s", static_cast<double>(tokens) / median(seconds));
  };
  for (const BatchSummary& summary : all) {
    table.rows.push_back({summary.label, rate(summary.tokens, summary.one_by_one),
                          rate(summary.tokens, summary.packed),
                          detail::ratio_text(summary.throughput()),
                          fmt::format("{} of {}", summary.equal_rows, lengths.size())});
  }
  return table;
}

/// `all` begins with full attention.
inline ReportTable document_table(const std::vector<DocumentSummary>& all) {
  const DocumentSummary& full = all.front();
  ReportTable table{
      fmt::format("A document of {} tokens, read once, and {} questions of {} tokens",
                  grouped(full.length), full.first_token.size(), kQuestionTokens),
      "From nothing: document and question as one prompt. Full attention's document is the cache "
      "of "
      "all layers, a prefix cache. MiB: of the document and one question with its answer. Alike: "
      "answers of the same tokens both ways; in bfloat16 sums of another order may choose another "
      "token, in full attention as well.",
      {"method", "read", "a question's first token", "sooner than from nothing",
       "than full attention's", "decode", "of full (quartiles)", "MiB", "of full", "alike"},
      {}};
  for (const DocumentSummary& summary : all) {
    table.rows.push_back(
        {summary.label, detail::seconds_text(summary.read),
         detail::seconds_text(median(summary.first_token)),
         detail::ratio_text(detail::ratio_of(summary.from_nothing, summary.first_token)),
         detail::ratio_text(detail::ratio_of(summary.full_first_token, summary.first_token)),
         fmt::format("{:.1f} tok/s", 1 / median(summary.step)),
         detail::ratio_text(detail::ratio_of(summary.full_step, summary.step)),
         detail::megabytes(summary.bytes()), detail::share_text(summary.bytes(), full.bytes()),
         fmt::format("{} of {}", summary.equal_answers, summary.first_token.size())});
  }
  return table;
}

/// How each distilled method does against every rival in the same repetitions.
inline ReportTable rivals_table(const std::string& title,
                                const std::vector<MethodSummary>& all,
                                const std::vector<TimeRecord>& times) {
  ReportTable table{title + ": distilled against its rivals, first token / decode",
                    "Ratios of medians; above 1 the distilled prompt is faster.",
                    {"against"},
                    {}};
  std::vector<const MethodSummary*> ours, theirs;
  for (const MethodSummary& summary : all) {
    if (!summary.timed()) continue;
    const bool distilled = parse_method(summary.method).kind == MethodKind::kPromptDistill;
    (distilled ? ours : theirs).push_back(&summary);
    if (distilled) table.head.push_back(summary.label);
  }
  if (ours.empty() || theirs.size() < 2) return table;
  for (const MethodSummary* rival : theirs) {
    table.rows.push_back({rival->label});
    for (const MethodSummary* own : ours) {
      const auto ratio = [&](auto&& value) {
        return compare(times, own->suite, own->length, own->method, rival->method, value);
      };
      const auto prefill = ratio([](const TimeRecord& record) { return record.first_token; });
      std::string text = prefill ? fmt::format("{:.2f}x", prefill->of_medians) : "-";
      if (own->decoded() && rival->decoded()) {
        if (const auto decode = ratio(detail::step_seconds))
          text += fmt::format(" / {:.2f}x", decode->of_medians);
      }
      table.rows.back().push_back(std::move(text));
    }
  }
  return table;
}

}  // namespace promptdistill::examples
