#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Settings as plain data, their names on a command line, and the one switch from names to types.

#include <c10/util/Exception.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "promptdistill/any_distiller.hpp"
#include "promptdistill/core/schedule.hpp"
#include "promptdistill/distiller.hpp"
#include "promptdistill/policy/head_weighted.hpp"
#include "promptdistill/policy/last_query_scorer.hpp"
#include "promptdistill/policy/observation_window_scorer.hpp"
#include "promptdistill/policy/pooled.hpp"
#include "promptdistill/policy/raw_window_scorer.hpp"
#include "promptdistill/policy/skip_last.hpp"
#include "promptdistill/policy/top_k.hpp"

namespace promptdistill {

enum class ScorerKind {
  kLast,       // LastQueryScorer
  kWindow,     // ObservationWindowScorer
  kRawWindow,  // RawWindowScorer
};

/// Whether DistillOptions::window is of this scorer.
inline bool has_window(ScorerKind scorer) { return scorer != ScorerKind::kLast; }

/// Everything that makes a distiller. The defaults are the paper's, with no stage.
struct DistillOptions {
  std::vector<Stage> stages;
  std::int64_t truncated_stages = 0;  // kTruncateAll: every stage
  ScorerKind scorer = ScorerKind::kLast;
  std::int64_t window = 16;    // of the scorers that have one
  std::int64_t skip_last = 0;  // tokens at the end that do not score, and stay
  HeadMap heads;
  std::int64_t pool = 5;
  std::int64_t protect_first = 0;
  std::int64_t protect_last = 0;  // tokens at the end that always stay, scoring ones among them
};

/// Queries that score, and after them those that only stay.
inline std::int64_t scoring_tail(const DistillOptions& options) {
  return (has_window(options.scorer) ? options.window : 1) + options.skip_last;
}

/// Throws c10::ValueError on a number of protected tokens below 0.
inline TopK make_selector(const DistillOptions& options) {
  return TopK(options.protect_first, options.protect_last);
}

/// Throws c10::ValueError on a setting that breaks its rule; without stages the result keeps every
/// token.
inline AnyDistiller make_distiller(const DistillOptions& options) {
  Schedule schedule(options.stages, options.truncated_stages);
  const TopK selector = make_selector(options);
  const auto assemble = [&](auto raw) -> AnyDistiller {
    return Distiller(
        schedule,
        Pooled(HeadWeighted(SkipLast(std::move(raw), options.skip_last), options.heads),
               options.pool),
        selector);
  };
  switch (options.scorer) {
    case ScorerKind::kWindow:
      return assemble(ObservationWindowScorer(options.window));
    case ScorerKind::kRawWindow:
      return assemble(RawWindowScorer(options.window));
    case ScorerKind::kLast:
      break;
  }
  return assemble(LastQueryScorer{});
}

namespace detail {

inline std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  while (start <= text.size()) {
    const std::size_t end = std::min(text.find(separator, start), text.size());
    parts.emplace_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

template <class Number>
Number parse_number(std::string_view text, std::string_view what, std::string_view whole) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  TORCH_CHECK_VALUE(!text.empty() && error == std::errc{} && end == text.data() + text.size(),
                    "promptdistill: ", what, " must be a number, got '", text, "' in '", whole,
                    "'");
  return value;
}

}  // namespace detail

/// "14:512", "14:25%,20:256"; "" and "none" are no stage.
inline std::vector<Stage> parse_stages(std::string_view text) {
  std::vector<Stage> stages;
  if (text.empty() || text == "none") return stages;
  for (const std::string& part : detail::split(text, ',')) {
    const std::size_t colon = part.find(':');
    TORCH_CHECK_VALUE(colon != std::string::npos,
                      "promptdistill: a stage must read LAYER:BUDGET, as 14:512 or 14:25%, got '",
                      part, "'");
    std::string budget = part.substr(colon + 1);
    const auto layer =
        detail::parse_number<std::int64_t>(part.substr(0, colon), "a stage's layer", text);
    if (!budget.empty() && budget.back() == '%') {
      budget.pop_back();
      stages.push_back(
          {layer,
           Ratio{detail::parse_number<double>(budget, "a stage's percentage", text) / 100.0}});
    } else {
      stages.push_back(
          {layer, Count{detail::parse_number<std::int64_t>(budget, "a stage's budget", text)}});
    }
  }
  return stages;
}

/// The reverse of parse_stages: the shortest percentage that is read back as the same share.
inline std::string to_string(const Budget& budget) {
  if (const auto* count = std::get_if<Count>(&budget)) return std::to_string(count->tokens);
  const double share = std::get<Ratio>(budget).share;
  char text[32];
  for (int digits = 3;; ++digits) {  // with fewer, 100 would read 1e+02
    char* const end =
        std::to_chars(text, std::end(text), share * 100.0, std::chars_format::general, digits).ptr;
    double percent = 0;
    std::from_chars(text, end, percent);
    if (percent / 100.0 == share || digits == 17) return std::string(text, end) + '%';
  }
}

inline std::string to_string(const std::vector<Stage>& stages) {
  std::ostringstream out;
  for (const Stage& stage : stages) {
    out << (&stage == &stages.front() ? "" : ",") << stage.layer << ':' << to_string(stage.budget);
  }
  return stages.empty() ? "none" : out.str();
}

/// "14:1,3;20:3,4,5"; "" and "all" let every head vote.
inline HeadMap parse_heads(std::string_view text) {
  HeadMap heads;
  if (text.empty() || text == "all") return heads;
  for (const std::string& part : detail::split(text, ';')) {
    const std::size_t colon = part.find(':');
    TORCH_CHECK_VALUE(colon != std::string::npos,
                      "promptdistill: voting heads must read LAYER:HEAD,HEAD;..., as 14:1,3, got '",
                      part, "'");
    const auto layer =
        detail::parse_number<std::int64_t>(part.substr(0, colon), "a layer of voting heads", text);
    TORCH_CHECK_VALUE(!heads.contains(layer),
                      "promptdistill: voting heads must name a layer once, got layer ", layer,
                      " twice");
    for (const std::string& head : detail::split(part.substr(colon + 1), ',')) {
      heads[layer].push_back(detail::parse_number<std::int64_t>(head, "a voting head", text));
    }
  }
  return heads;
}

inline std::string to_string(const HeadMap& heads) {
  std::ostringstream out;
  for (const auto& [layer, voters] : heads) {
    out << (layer == heads.begin()->first ? "" : ";") << layer << ':';
    for (std::size_t i = 0; i < voters.size(); ++i) out << (i == 0 ? "" : ",") << voters[i];
  }
  return heads.empty() ? "all" : out.str();
}

/// "none", "all" or a number of stages.
inline std::int64_t parse_truncate(std::string_view text) {
  if (text == "none") return 0;
  if (text == "all") return kTruncateAll;
  const auto stages = detail::parse_number<std::int64_t>(
      text, "the number of truncated stages (none, all or N)", text);
  TORCH_CHECK_VALUE(
      stages >= 0,
      "promptdistill: the number of truncated stages must be none, all or at least 0, got ",
      stages);
  return stages;
}

inline ScorerKind parse_scorer(std::string_view text) {
  TORCH_CHECK_VALUE(text == "last" || text == "window" || text == "raw",
                    "promptdistill: the scorer must be last, window or raw, got '", text, "'");
  return text == "last"     ? ScorerKind::kLast
         : text == "window" ? ScorerKind::kWindow
                            : ScorerKind::kRawWindow;
}

inline std::string to_string(ScorerKind scorer) {
  return scorer == ScorerKind::kLast ? "last" : scorer == ScorerKind::kWindow ? "window" : "raw";
}

}  // namespace promptdistill
