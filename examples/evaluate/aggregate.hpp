#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Means over samples with 95 % intervals, and what a method gains or loses on the same samples.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "examples/common/statistics.hpp"
#include "examples/evaluate/results.hpp"

namespace promptdistill::examples {

struct Interval {
  double mean = 0, low = 0, high = 0;
};

inline double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// The mean and the middle 95 % of the means of 10,000 samples drawn with replacement (percentile
/// bootstrap). Of paired differences it is the paired bootstrap. Same values, same interval.
inline Interval bootstrap(const std::vector<double>& values) {
  constexpr int kResamples = 10000;
  if (values.empty()) return {};
  std::mt19937_64 random(20260101);
  std::vector<double> means;
  means.reserve(kResamples);
  for (int i = 0; i < kResamples; ++i) {
    double sum = 0;
    for (std::size_t j = 0; j < values.size(); ++j) sum += values[random() % values.size()];
    means.push_back(sum / static_cast<double>(values.size()));
  }
  return {mean_of(values), quantile(means, 0.025), quantile(means, 0.975)};
}

/// The probability that a value of `high` lies above one of `low`, ties counted half: the area
/// under the ROC curve. Empty where one of them is.
inline std::optional<double> auc(const std::vector<double>& high, const std::vector<double>& low) {
  if (high.empty() || low.empty()) return {};
  double above = 0;
  for (const double h : high)
    for (const double l : low) above += h > l ? 1 : h == l ? 0.5 : 0;
  return above / (static_cast<double>(high.size()) * static_cast<double>(low.size()));
}

/// How well what is known at a stage tells replies that are worse than full attention's from those
/// that are not, where full attention has any of the score: 0.5 is chance, 1 is always.
struct Warning {
  std::size_t lost = 0, right = 0;
  std::optional<double> mass, entropy, cut;  // AUC of little mass, of much of the others
};

struct MethodResult {
  std::string method;
  std::size_t samples = 0;
  Interval score;
  std::optional<Interval> against_full;          // score less full attention's on the same samples
  std::vector<std::optional<Interval>> against;  // the same of other methods that were asked for
  std::optional<double> recall;                  // of the needles' tokens
  Warning warning;
  double kept = 1;
  std::optional<double> speed_up;  // median of the ratios of full attention's prefill
  double cache_bytes = 0;
};

namespace detail {

/// Signals of replies, apart by whether they are worse than full attention's.
class WarningCounts {
 public:
  void add(const ReplyRecord& record, double full_score) {
    if (full_score == 0 || !record.signals.is_object()) return;
    Signals& of = record.score < full_score ? lost_ : right_;
    of.mass.push_back(-record.signals.at("mass").get<double>());
    of.entropy.push_back(record.signals.at("entropy").get<double>());
    of.cut.push_back(record.signals.at("cut").get<double>());
  }

  Warning result() const {
    return {lost_.mass.size(), right_.mass.size(), auc(lost_.mass, right_.mass),
            auc(lost_.entropy, right_.entropy), auc(lost_.cut, right_.cut)};
  }

 private:
  struct Signals {
    std::vector<double> mass, entropy, cut;
  };
  Signals lost_, right_;
};

using BySample = std::map<std::string, const ReplyRecord*>;

/// Scores of one method less another's on the samples that both have.
inline std::vector<double> differences(const BySample& own, const BySample& theirs) {
  std::vector<double> less;
  for (const auto& [sample, record] : own) {
    const auto other = theirs.find(sample);
    if (other != theirs.end()) less.push_back(record->score - other->second->score);
  }
  return less;
}

}  // namespace detail

/// The results of each method, in the order given. Full attention is what others are compared with,
/// and each of `others`.
inline std::vector<MethodResult> aggregate(const std::vector<ReplyRecord>& records,
                                           const std::vector<std::string>& methods,
                                           const std::vector<std::string>& others = {}) {
  std::map<std::string, detail::BySample> by_method;
  for (const ReplyRecord& record : records) by_method[record.method][record.sample] = &record;
  const auto full = by_method.find("full");
  std::vector<MethodResult> out;
  for (const std::string& method : methods) {
    const auto found = by_method.find(method);
    if (found == by_method.end()) continue;
    MethodResult result;
    result.method = method;
    std::vector<double> scores, recalls, kept, ratios, bytes;
    detail::WarningCounts warnings;
    for (const auto& [sample, record] : found->second) {
      scores.push_back(record->score);
      kept.push_back(record->kept);
      bytes.push_back(static_cast<double>(record->cache_bytes));
      if (record->recall.is_number()) recalls.push_back(record->recall.get<double>());
      if (full == by_method.end()) continue;
      const auto other = full->second.find(sample);
      if (other == full->second.end()) continue;
      warnings.add(*record, other->second->score);
      ratios.push_back(other->second->prefill / record->prefill);
    }
    result.samples = scores.size();
    result.score = bootstrap(scores);
    const auto against = [&](const std::string& other) -> std::optional<Interval> {
      const auto rival = by_method.find(other);
      if (rival == by_method.end() || rival == found) return {};
      const std::vector<double> less = detail::differences(found->second, rival->second);
      return less.empty() ? std::nullopt : std::optional(bootstrap(less));
    };
    result.against_full = against("full");
    for (const std::string& other : others) result.against.push_back(against(other));
    if (!recalls.empty()) result.recall = mean_of(recalls);
    result.warning = warnings.result();
    result.kept = mean_of(kept);
    if (!ratios.empty()) result.speed_up = median(ratios);
    result.cache_bytes = mean_of(bytes);
    out.push_back(std::move(result));
  }
  return out;
}

}  // namespace promptdistill::examples
