#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// All that was measured, as tables, JSON and a page.

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "examples/bench/measure_batch.hpp"
#include "examples/bench/records.hpp"
#include "examples/bench/retention_methods.hpp"
#include "examples/bench/summary.hpp"
#include "examples/bench/tables.hpp"
#include "examples/common/html_page.hpp"
#include "examples/common/statistics.hpp"

namespace promptdistill::examples {

struct BenchReport {
  struct Point {
    RetentionPoint::Study study;
    double at;
    MethodSummary summary;
  };

  nlohmann::json header;
  std::string model;                                // its name
  std::optional<double> bandwidth;                  // bytes per second
  std::vector<std::vector<MethodSummary>> lengths;  // of each length all methods, full first
  std::vector<MethodSummary> retention;             // full attention and every method, or nothing
  std::vector<Point> points;                        // the same by study
  std::vector<BatchSummary> batches;
  std::vector<DocumentSummary> documents;
  std::vector<ReportTable> tables;
};

namespace detail {

inline std::string study_name(RetentionPoint::Study study) {
  switch (study) {
    case RetentionPoint::Study::kRetention:
      return "retention";
    case RetentionPoint::Study::kRetentionCut:
      return "retention, caches cut";
    case RetentionPoint::Study::kLayer:
      return "stage layer";
    case RetentionPoint::Study::kStages:
      return "number of stages";
  }
  return "";
}

inline void add_tables(const std::string& title,
                       const std::vector<MethodSummary>& all,
                       const Records& records,
                       BenchReport& report) {
  for (ReportTable& table : std::vector<ReportTable>{prefill_table(title, all),
                                                     decode_table(title, all, report.bandwidth),
                                                     memory_table(title, all)}) {
    if (!table.rows.empty()) report.tables.push_back(std::move(table));
  }
  ReportTable rivals = rivals_table(title, all, records.times);
  if (!rivals.rows.empty()) report.tables.push_back(std::move(rivals));
}

}  // namespace detail

/// Summaries and tables of what `records` hold of these methods and lengths.
inline BenchReport make_report(const nlohmann::json& header,
                               const std::string& model,
                               const Records& records,
                               const SummaryContext& context,
                               const std::vector<std::int64_t>& lengths,
                               const std::vector<BenchMethod>& methods,
                               const std::vector<RetentionPoint>& points,
                               std::int64_t retention_length) {
  BenchReport report;
  report.header = header;
  report.model = model;
  std::vector<double> bandwidth;
  for (const BandwidthRecord& record : records.bandwidth)
    bandwidth.push_back(record.bytes_per_second);
  if (!bandwidth.empty()) report.bandwidth = median(bandwidth);
  for (const std::int64_t length : lengths) {
    std::vector<MethodSummary> all;
    for (const BenchMethod& method : methods)
      all.push_back(summarize(records, context, "methods", length, method));
    detail::add_tables(fmt::format("{} tokens", grouped(length)), all, records, report);
    report.lengths.push_back(std::move(all));
    std::vector<DocumentSummary> documents;
    for (const BenchMethod& method : methods) {
      if (auto summary = summarize_document(records, length, method))
        documents.push_back(*std::move(summary));
    }
    if (!documents.empty()) report.tables.push_back(document_table(documents));
    report.documents.insert(report.documents.end(), documents.begin(), documents.end());
    if (header.at("settings").at("batch").is_null()) continue;
    const auto prompts = batch_lengths(header.at("settings").at("batch"), length);
    std::vector<BatchSummary> batches;
    for (const BenchMethod& method : methods) {
      if (auto summary = summarize_batch(records, prompts, method))
        batches.push_back(*std::move(summary));
    }
    if (!batches.empty()) report.tables.push_back(batch_table(batches));
    report.batches.insert(report.batches.end(), batches.begin(), batches.end());
  }
  if (points.empty()) return report;
  for (const BenchMethod& method : methods_of(points))
    report.retention.push_back(summarize(records, context, "retention", retention_length, method));
  for (const RetentionPoint& point : points) {
    report.points.push_back(
        {point.study, point.at,
         summarize(records, context, "retention", retention_length, point.method)});
  }
  using Study = RetentionPoint::Study;
  for (const Study study :
       {Study::kRetention, Study::kRetentionCut, Study::kLayer, Study::kStages}) {
    std::vector<MethodSummary> all{report.retention.front()};
    for (const BenchReport::Point& point : report.points)
      if (point.study == study) all.push_back(point.summary);
    const std::string title =
        fmt::format("{} tokens, {}", grouped(retention_length), detail::study_name(study));
    if (all.size() == 1) continue;
    report.tables.push_back(prefill_table(title, all));
    report.tables.push_back(decode_table(title, all, report.bandwidth));
  }
  return report;
}

inline nlohmann::json to_json(const BenchReport& report) {
  nlohmann::json out = report.header;
  out["bandwidth_bytes_per_second"] =
      report.bandwidth ? nlohmann::json(*report.bandwidth) : nlohmann::json();
  out["results"] = nlohmann::json::array();
  for (const auto& all : report.lengths)
    for (const MethodSummary& summary : all)
      if (summary.timed() || summary.memory)
        out["results"].push_back(to_json(summary, report.bandwidth));
  for (const BatchSummary& summary : report.batches) out["results"].push_back(to_json(summary));
  for (const DocumentSummary& summary : report.documents)
    out["results"].push_back(to_json(summary));
  if (!report.retention.empty())
    out["results"].push_back(to_json(report.retention.front(), report.bandwidth));
  for (const BenchReport::Point& point : report.points) {
    nlohmann::json line = to_json(point.summary, report.bandwidth);
    line["study"] = detail::study_name(point.study);
    line["at"] = point.at;
    out["results"].push_back(std::move(line));
  }
  return out;
}

/// "bfloat16, cpu, 2 threads, ...": what every number on a page depends on.
inline std::string setting_line(const nlohmann::json& header) {
  const auto text = [&](const char* group, const char* key) {
    const nlohmann::json& value = header.at(group).at(key);
    return value.is_string() ? value.get<std::string>() : value.dump();
  };
  std::string machine = text("machine", "cpu");
  if (header.at("machine").contains("gpu")) machine += ", " + text("machine", "gpu");
  return fmt::format(
      "{}, {}, {} threads on {} ({} cores); medians of {} repetitions in turn, {} new tokens{}; "
      "promptdistill {}, LibTorch {}",
      text("settings", "dtype"), text("machine", "device"), text("settings", "threads"), machine,
      text("machine", "cores"), text("settings", "repetitions"), text("settings", "new_tokens"),
      header.at("settings").at("prefill_chunk").is_null()
          ? ""
          : fmt::format(", prefill in chunks of {}", text("settings", "prefill_chunk")),
      text("program", "promptdistill"), text("program", "torch"));
}

/// One page with the plots, which lie beside it, and all tables.
inline std::string render(const BenchReport& report, const std::vector<std::string>& plots) {
  const auto escape = [](const std::string& text) { return detail::html::escape(text); };
  std::string body;
  for (const std::string& plot : plots)
    body += fmt::format("<img src=\"{0}\" alt=\"{0}\">\n", escape(plot));
  for (const ReportTable& table : report.tables) {
    body += fmt::format("<h2>{}</h2>\n<table><tr>", escape(table.title));
    for (const std::string& cell : table.head) body += "<th>" + escape(cell);
    for (const auto& row : table.rows) {
      body += "\n<tr>";
      for (const std::string& cell : row) body += "<td>" + escape(cell);
    }
    body += "</table>\n";
    if (!table.note.empty()) body += fmt::format("<p>{}\n", escape(table.note));
  }
  return fmt::format(R"(<!doctype html>
<html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>promptdistill-bench: {0}</title><style>
body{{max-width:1100px;margin:0 auto;padding:24px;font:15px/1.45 system-ui,sans-serif;color:#1b1f24}}
h1{{font-size:24px;margin:0}}h2{{font-size:16px;margin:28px 0 6px}}p{{color:#5b636d;margin:4px 0}}
table{{border-collapse:collapse;font-variant-numeric:tabular-nums}}img{{max-width:100%;margin:12px 0}}
td,th{{padding:3px 12px;text-align:right;border-bottom:1px solid #dde1e6}}th{{color:#5b636d;font-weight:500}}
tr>:first-child{{text-align:left;padding-left:0}}
</style><h1>{0}</h1><p>{1}</p>
{2})",
                     escape(report.model), escape(setting_line(report.header)), body);
}

}  // namespace promptdistill::examples
