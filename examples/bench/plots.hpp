#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The curves of what was measured.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "examples/bench/report.hpp"
#include "examples/common/plot.hpp"

namespace promptdistill::examples {

namespace detail {

/// A value, or a ratio with its spread; nothing where it was not measured.
using PlotValue = std::function<std::optional<Ratio3>(const MethodSummary&)>;

inline std::optional<Ratio3> plain(double value) { return Ratio3{value, value, value}; }

inline void add_point(Plot::Curve& curve, double x, const std::optional<Ratio3>& value) {
  if (value) curve.points.push_back({x, value->of_medians, value->low, value->high});
}

/// Every method as a curve over prompt lengths.
inline Plot over_lengths(const BenchReport& report,
                         const std::string& file,
                         const std::string& title,
                         const std::string& y_label,
                         const PlotValue& value) {
  Plot plot{.file = file, .title = title, .x_label = "prompt tokens", .y_label = y_label};
  plot.logarithmic_x = true;
  plot.logarithmic_y = y_label == "MiB";
  for (std::size_t m = 0; !report.lengths.empty() && m < report.lengths.front().size(); ++m) {
    Plot::Curve curve{report.lengths.front()[m].label, {}};
    for (const auto& all : report.lengths)
      add_point(curve, static_cast<double>(all[m].length), value(all[m]));
    if (!curve.points.empty()) plot.curves.push_back(std::move(curve));
  }
  for (const auto& all : report.lengths) plot.ticks.push_back(static_cast<double>(all[0].length));
  return plot;
}

inline std::optional<Ratio3> decode_rate(const MethodSummary& summary) {
  if (!summary.decoded()) return std::nullopt;
  return Ratio3{1 / median(summary.step), 1 / quantile(summary.step, 0.75),
                1 / quantile(summary.step, 0.25)};
}

/// A study's curve of `value` over its axis.
inline Plot::Curve study_curve(const BenchReport& report,
                               RetentionPoint::Study study,
                               std::string name,
                               const PlotValue& value) {
  Plot::Curve curve{std::move(name), {}};
  for (const BenchReport::Point& point : report.points)
    if (point.study == study) add_point(curve, point.at, value(point.summary));
  return curve;
}

inline std::vector<Plot> length_plots(const BenchReport& report) {
  constexpr double kMiB = 1 << 20;
  return {
      over_lengths(report, "speed_up.svg", "First token, against full attention", "times sooner",
                   [](const auto& summary) { return summary.prefill_speed_up; }),
      over_lengths(report, "decode.svg", "Decoding after the prompt", "tokens per second",
                   decode_rate),
      over_lengths(report, "cache.svg", "Cache after prefill", "MiB",
                   [](const MethodSummary& summary) -> std::optional<Ratio3> {
                     if (summary.cache_bytes == 0) return std::nullopt;
                     return plain(static_cast<double>(summary.cache_bytes) / kMiB);
                   }),
      over_lengths(report, "peak_tensors.svg", "Peak of tensors above the weights", "MiB",
                   [](const MethodSummary& summary) -> std::optional<Ratio3> {
                     if (!summary.memory) return std::nullopt;
                     return plain(static_cast<double>(summary.memory->tensor_peak) / kMiB);
                   }),
      over_lengths(report, "peak_rss.svg", "Peak in RAM above a 16-token warm-up", "MiB",
                   [](const MethodSummary& summary) -> std::optional<Ratio3> {
                     if (!summary.memory) return std::nullopt;
                     return plain(static_cast<double>(summary.memory->rss_peak) / kMiB);
                   })};
}

inline std::vector<Plot> retention_plots(const BenchReport& report) {
  if (report.retention.empty()) return {};
  using Study = RetentionPoint::Study;
  const std::string tokens = fmt::format(", {} tokens", grouped(report.retention[0].length));
  const PlotValue speed_up = [](const MethodSummary& s) { return s.prefill_speed_up; };
  const auto shares = [&](std::string file, std::string title, std::string y, PlotValue value) {
    Plot plot{.file = std::move(file),
              .title = title + tokens,
              .x_label = "tokens kept, % of the prompt",
              .y_label = std::move(y)};
    plot.logarithmic_x = true;
    plot.ticks.assign(kRetentions.begin(), kRetentions.end());
    plot.curves = {study_curve(report, Study::kRetention, "caches as they are", value),
                   study_curve(report, Study::kRetentionCut, "caches cut", value)};
    return plot;
  };
  const auto study = [&](std::string file, std::string title, std::string x, Study of) {
    Plot plot{.file = std::move(file),
              .title = title + tokens,
              .x_label = std::move(x),
              .y_label = "times sooner than full attention"};
    plot.curves = {study_curve(report, of, "measured", speed_up),
                   study_curve(report, of, "predicted by FLOPs",
                               [](const MethodSummary& summary) -> std::optional<Ratio3> {
                                 if (!summary.predicted.speed_up) return std::nullopt;
                                 return plain(*summary.predicted.speed_up);
                               })};
    for (const Plot::At& point : plot.curves[0].points) plot.ticks.push_back(point.x);
    return plot;
  };
  return {
      shares("retention_first_token.svg", "First token by share kept",
             "times sooner than full attention", speed_up),
      shares("retention_decode.svg", "Decoding by share kept", "tokens per second", decode_rate),
      study("stage_layer.svg", "First token by the stage's layer, 10 % kept", "stage's layer",
            Study::kLayer),
      study("stages.svg", "First token by number of stages, 5 % kept at last", "number of stages",
            Study::kStages)};
}

}  // namespace detail

/// Those pictures that something was measured for.
inline std::vector<Plot> make_plots(const BenchReport& report) {
  std::vector<Plot> plots = detail::length_plots(report);
  for (Plot& plot : detail::retention_plots(report)) plots.push_back(std::move(plot));
  for (Plot& plot : plots)
    std::erase_if(plot.curves, [](const Plot::Curve& curve) { return curve.points.empty(); });
  std::erase_if(plots, [](const Plot& plot) { return plot.curves.empty(); });
  return plots;
}

}  // namespace promptdistill::examples
