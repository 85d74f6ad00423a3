#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Replies' scores as one self-contained page: a table, heat maps of length and depth, and curves.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "examples/common/html_page.hpp"
#include "examples/common/plot.hpp"
#include "examples/common/units.hpp"
#include "examples/evaluate/aggregate.hpp"
#include "examples/evaluate/score_strips.hpp"
#include "promptdistill/baseline/method_text.hpp"
#include "promptdistill/io/read_json.hpp"

namespace promptdistill::examples {

namespace detail {

inline std::string percent(double value) { return fmt::format("{:.1f}", 100 * value); }

inline std::string with_interval(const Interval& interval) {
  return fmt::format("{} ({} to {})", percent(interval.mean), percent(interval.low),
                     percent(interval.high));
}

/// Mean scores of one method by the numbers that two keys of `about` have.
using Cells = std::map<std::pair<double, double>, std::pair<double, int>>;

inline Cells cells_of(const std::vector<ReplyRecord>& records,
                      const std::string& method,
                      const char* row,
                      const char* column) {
  Cells cells;
  for (const ReplyRecord& record : records) {
    if (record.method != method || !record.about.contains(row) || !record.about.contains(column))
      continue;
    auto& [sum, count] =
        cells[{record.about.at(row).get<double>(), record.about.at(column).get<double>()}];
    sum += record.score;
    ++count;
  }
  return cells;
}

/// White to blue; dark cells have white digits.
inline std::string heat_cell(double score) {
  const auto mix = [&](double from, double to) { return std::lround(from + (to - from) * score); };
  return fmt::format("<td style=\"background:rgb({},{},{});color:{}\">{:.0f}", mix(255, 8),
                     mix(255, 81), mix(255, 156), score > 0.55 ? "#fff" : "#1b1f24", 100 * score);
}

inline std::string heat_map(const std::string& title, const Cells& cells) {
  std::set<double> rows, columns;
  for (const auto& [at, value] : cells) {
    rows.insert(at.first);
    columns.insert(at.second);
  }
  std::string out = fmt::format("<figure><figcaption>{}</figcaption><table class=heat><tr><th>",
                                html::escape(title));
  for (const double column : columns) out += fmt::format("<th>{}", grouped(std::llround(column)));
  for (const double row : rows) {
    out += fmt::format("\n<tr><th>{:.0f} %", row);
    for (const double column : columns) {
      const auto cell = cells.find({row, column});
      out += cell == cells.end() ? "<td>" : heat_cell(cell->second.first / cell->second.second);
    }
  }
  return out + "</table></figure>\n";
}

/// The mean recall of every layer and head, over the samples that were looked at in one way.
inline std::string head_map(const std::vector<HeadRecord>& heads) {
  const HeadRecord& last = heads.back();
  std::vector<std::vector<double>> mean(last.recall.size(),
                                        std::vector<double>(last.recall.front().size(), 0));
  int samples = 0;
  for (const HeadRecord& record : heads) {
    if (record.window != last.window || record.budget != last.budget) continue;
    ++samples;
    for (std::size_t l = 0; l < mean.size(); ++l)
      for (std::size_t h = 0; h < mean[l].size(); ++h) mean[l][h] += record.recall.at(l).at(h);
  }
  std::string out = fmt::format(
      "<h2>The needle's tokens among the {} best of each layer (down) and head (across), by the "
      "attention of the last {} tokens, %; {} samples</h2><table class=heat><tr><th>",
      last.budget, last.window, samples);
  for (std::size_t h = 0; h < mean.front().size(); ++h) out += fmt::format("<th>{}", h);
  for (std::size_t l = 0; l < mean.size(); ++l) {
    out += fmt::format("\n<tr><th>{}", l);
    for (const double sum : mean[l]) out += heat_cell(sum / samples);
  }
  return out + "</table>\n";
}

/// What a curve is called and, of PromptDistill with one stage, its layer.
struct Family {
  std::string name;
  std::optional<std::int64_t> layer;
  std::string budget, rest;  // what else tells settings of one stage apart
};

inline Family family_of(const std::string& text) {
  MethodOptions method = parse_method(text);
  if (method.kind != MethodKind::kPromptDistill) return {to_string(method.kind), {}, "", ""};
  if (method.distill.stages.size() != 1)
    return {fmt::format("{} stages", method.distill.stages.size()), {}, "", ""};
  const std::int64_t layer = method.distill.stages.front().layer;
  const std::string budget = to_string(method.distill.stages.front().budget);
  // Of everything else that it says, a name of its own.
  MethodOptions plain = method;
  plain.distill.stages = {{0, Count{1}}};
  plain.distill.heads.clear();
  std::string rest = to_string(plain);
  const std::size_t comma = rest.find(',');
  rest = comma == std::string::npos ? "" : ", " + rest.substr(comma + 1);
  return {fmt::format("layer {}{}", layer, rest), layer, budget, rest};
}

/// What a prompt's positions scored before every method's stages, and where its needles stand: of
/// the longest prompt, there of the one whose first needle is nearest its middle. Empty without.
inline std::string strips_of(const std::vector<ReplyRecord>& records,
                             const std::vector<MethodResult>& results) {
  const ReplyRecord* chosen = nullptr;
  const auto off_centre = [](const ReplyRecord& record) {
    return std::abs(record.needles.front().at(0).get<double>() - 0.5);
  };
  for (const ReplyRecord& record : records) {
    if (record.strips.is_null() || record.needles.is_null()) continue;
    if (chosen == nullptr || record.tokens > chosen->tokens + chosen->tokens / 20 ||
        (record.tokens * 20 >= chosen->tokens * 19 && off_centre(record) < off_centre(*chosen)))
      chosen = &record;
  }
  if (chosen == nullptr) return "";
  std::string rows;
  for (const MethodResult& result : results) {
    for (const ReplyRecord& record : records) {
      if (record.sample != chosen->sample || record.method != result.method ||
          record.strips.is_null())
        continue;
      for (const auto& strip : record.strips.get<std::vector<ScoreStrip>>()) {
        rows += fmt::format(
            "<figure class=strip><figcaption>{}, layer {}</figcaption><svg viewBox=\"0 0 1000 40\" "
            "preserveAspectRatio=none role=img>",
            html::escape(result.method), strip.layer);
        const double width = 1000.0 / static_cast<double>(strip.highest.size());
        for (std::size_t i = 0; i < strip.highest.size(); ++i) {
          if (strip.highest[i] < 0) continue;
          const double height = 0.3 * strip.highest[i] + 1;
          rows +=
              fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>",
                          static_cast<double>(i) * width, 31 - height, 0.85 * width, height);
        }
        for (const auto& needle : record.needles) {
          const double begin = 1000 * needle.at(0).get<double>(),
                       end = 1000 * needle.at(1).get<double>();
          rows += fmt::format(
              "<rect class=needle x=\"{:.1f}\" y=\"34\" width=\"{:.1f}\" height=\"5\"/>", begin,
              std::max(end - begin, 4.0));
        }
        rows += "</svg></figure>\n";
      }
    }
  }
  return fmt::format(
      "<h2>Highest scores over the positions of one prompt of {} tokens (sample {}); what must be "
      "found is marked</h2>{}",
      grouped(chosen->tokens), html::escape(chosen->sample), rows);
}

inline std::string table_of(const std::vector<std::vector<std::string>>& rows) {
  std::string out = "<table class=results>";
  for (const auto& row : rows) {
    out += "\n<tr>";
    for (const std::string& cell : row)
      out += (&row == &rows.front() ? "<th>" : "<td>") + html::escape(cell);
  }
  return out + "</table>\n";
}

/// Of a plot's points those that none beats in both: further left and no lower, or higher and no
/// further right.
inline Plot::Curve front_of(const Plot& plot) {
  std::vector<Plot::At> points;
  for (const Plot::Curve& curve : plot.curves)
    points.insert(points.end(), curve.points.begin(), curve.points.end());
  std::sort(points.begin(), points.end(), [](const Plot::At& a, const Plot::At& b) {
    return a.x < b.x || (a.x == b.x && a.y > b.y);
  });
  Plot::Curve front{"nothing better", {}};
  for (const Plot::At& point : points) {
    if (front.points.empty() || point.y > front.points.back().y)
      front.points.push_back({point.x, point.y, point.y, point.y});
  }
  return front;
}

}  // namespace detail

/// What stages say about replies that are lost, of methods that lose some: a header and a row each.
inline std::vector<std::vector<std::string>> warning_rows(
    const std::vector<MethodResult>& results) {
  const auto text = [](const std::optional<double>& auc) {
    return auc ? fmt::format("{:.2f}", *auc) : "-";
  };
  std::vector<std::vector<std::string>> rows{
      {"method", "lost", "not lost", "little mass kept", "entropy", "cut near the best"}};
  for (const MethodResult& result : results) {
    const Warning& warning = result.warning;
    if (warning.lost == 0) continue;
    rows.push_back({result.method, std::to_string(warning.lost), std::to_string(warning.right),
                    text(warning.mass), text(warning.entropy), text(warning.cut)});
  }
  return rows;
}

inline constexpr const char* kWarningTitle =
    "How well a stage's scores tell replies that are worse than full attention's (AUC, 0.5: "
    "chance)";

/// Score against what is kept, the time it takes, and the stage's layer.
inline std::vector<Plot> evaluation_plots(const std::vector<MethodResult>& results) {
  Plot kept{.file = "kept.svg",
            .title = "Score by the share of the prompt that is kept",
            .x_label = "tokens kept, % of the prompt",
            .y_label = "score, %"};
  Plot time{.file = "time.svg",
            .title = "Score by time to the first token",
            .x_label = "time to the first token, % of full attention's",
            .y_label = "score, %"};
  Plot layers{.file = "layers.svg",
              .title = "Score by the stage's layer",
              .x_label = "stage's layer",
              .y_label = "score, %"};
  kept.logarithmic_x = true;
  const auto add = [](Plot& plot, const std::string& name, double x, const Interval& score) {
    auto curve = std::find_if(plot.curves.begin(), plot.curves.end(),
                              [&](const Plot::Curve& each) { return each.name == name; });
    if (curve == plot.curves.end()) curve = plot.curves.insert(curve, Plot::Curve{name, {}});
    curve->points.push_back({x, 100 * score.mean, 100 * score.low, 100 * score.high});
  };
  std::set<double> ticks;
  for (const MethodResult& result : results) {
    const detail::Family family = detail::family_of(result.method);
    add(kept, family.name, 100 * result.kept, result.score);
    if (result.speed_up) add(time, family.name, 100 / *result.speed_up, result.score);
    if (!family.layer) continue;
    add(layers, family.budget + " tokens" + family.rest, static_cast<double>(*family.layer),
        result.score);
    ticks.insert(static_cast<double>(*family.layer));
  }
  if (Plot::Curve front = detail::front_of(time); front.points.size() > 1)
    time.curves.push_back(std::move(front));
  layers.ticks.assign(ticks.begin(), ticks.end());
  for (Plot* plot : {&kept, &time, &layers}) {
    for (Plot::Curve& curve : plot->curves)
      std::sort(curve.points.begin(), curve.points.end(),
                [](const Plot::At& a, const Plot::At& b) { return a.x < b.x; });
  }
  std::vector<Plot> plots{std::move(kept), std::move(time)};
  if (ticks.size() > 1) plots.push_back(std::move(layers));
  return plots;
}

/// Everything in one page; `pictures` are SVG files that were drawn, whose text becomes part of it.
inline std::string render_evaluation(const std::string& title,
                                     const std::string& setting,
                                     const std::vector<std::vector<std::string>>& table,
                                     const std::vector<std::vector<std::string>>& pairs,
                                     const std::vector<ReplyRecord>& records,
                                     const std::vector<HeadRecord>& heads,
                                     const std::vector<MethodResult>& results,
                                     const std::vector<std::filesystem::path>& pictures) {
  const auto escape = [](const std::string& text) { return detail::html::escape(text); };
  std::string body = detail::table_of(table);
  if (pairs.front().size() > 1)
    body += "<h2>Scores on the same prompts</h2>" + detail::table_of(pairs);
  for (const auto& picture : pictures) {
    const std::string svg = promptdistill::detail::read_text_file(picture);
    const std::size_t begin = svg.find("<svg");  // without the XML declaration
    if (begin != std::string::npos) body += svg.substr(begin) + "\n";
  }
  std::string maps;
  for (const MethodResult& result : results) {
    const detail::Cells cells = detail::cells_of(records, result.method, "depth", "length");
    if (cells.size() > 1) maps += detail::heat_map(result.method, cells);
  }
  if (!maps.empty())
    body +=
        "<h2>Score by depth of the needle (down) and length of the prompt (across), %</h2>"
        "<div class=maps>" +
        maps + "</div>\n";
  std::map<std::string, std::map<std::string, std::pair<double, int>>> kinds;  // by kind and method
  for (const ReplyRecord& record : records) {
    if (!record.about.contains("kind")) continue;
    auto& [sum, count] = kinds[record.about.at("kind").get<std::string>()][record.method];
    sum += record.score;
    ++count;
  }
  if (!kinds.empty()) {
    body += "<h2>Score by kind of fact, %</h2><table class=results><tr><th>method";
    for (const auto& [kind, methods] : kinds) body += "<th>" + escape(kind);
    for (const MethodResult& result : results) {
      body += "\n<tr><td>" + escape(result.method);
      for (const auto& [kind, methods] : kinds) {
        const auto cell = methods.find(result.method);
        body += cell == methods.end() ? "<td>"
                                      : detail::heat_cell(cell->second.first / cell->second.second);
      }
    }
    body += "</table>\n";
  }
  if (const auto rows = warning_rows(results); rows.size() > 1)
    body += "<h2>" + escape(kWarningTitle) + "</h2>" + detail::table_of(rows);
  body += detail::strips_of(records, results);
  if (!heads.empty()) body += detail::head_map(heads);
  return fmt::format(R"(<!doctype html>
<html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>{0}</title><style>
body{{max-width:1200px;margin:0 auto;padding:24px;font:15px/1.45 system-ui,sans-serif;color:#1b1f24}}
h1{{font-size:24px;margin:0}}h2{{font-size:16px;margin:28px 0 6px}}p,figcaption{{color:#5b636d}}
table{{border-collapse:collapse;font-variant-numeric:tabular-nums}}svg{{max-width:100%;height:auto}}
.results td,.results th{{padding:3px 12px;text-align:right;border-bottom:1px solid #dde1e6}}
th{{color:#5b636d;font-weight:500}}.results tr>:first-child{{text-align:left;padding-left:0;
overflow-wrap:anywhere}}.maps{{display:flex;flex-wrap:wrap;gap:20px}}figure{{margin:0;max-width:560px}}
figcaption{{font-size:13px;overflow-wrap:anywhere}}.strip{{max-width:none;margin:0 0 10px}}
.strip svg{{display:block;width:100%;height:40px}}.strip rect{{fill:#0072b2}}.strip rect.needle{{fill:#d55e00}}
.heat td,.heat th{{padding:2px 8px;text-align:right}}
</style><h1>{0}</h1><p>{1}</p>
{2})",
                     escape(title), escape(setting), body);
}

}  // namespace promptdistill::examples
