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

struct MethodResult {
  std::string method;
  std::size_t samples = 0;
  Interval score;
  std::optional<Interval> against_full;  // score less full attention's on the same samples
  std::optional<double> recall;          // of the needles' tokens
  double kept = 1;
  std::optional<double> speed_up;  // median of the ratios of full attention's prefill
  double cache_bytes = 0;
};

/// The results of each method, in the order they first occur. Full attention is what others are
/// compared with.
inline std::vector<MethodResult> aggregate(const std::vector<ReplyRecord>& records,
                                           const std::vector<std::string>& methods) {
  std::map<std::string, std::map<std::string, const ReplyRecord*>> by_method;
  for (const ReplyRecord& record : records) by_method[record.method][record.sample] = &record;
  const auto full = by_method.find("full");
  std::vector<MethodResult> out;
  for (const std::string& method : methods) {
    const auto found = by_method.find(method);
    if (found == by_method.end()) continue;
    MethodResult result;
    result.method = method;
    std::vector<double> scores, differences, recalls, kept, ratios, bytes;
    for (const auto& [sample, record] : found->second) {
      scores.push_back(record->score);
      kept.push_back(record->kept);
      bytes.push_back(static_cast<double>(record->cache_bytes));
      if (record->recall.is_number()) recalls.push_back(record->recall.get<double>());
      if (full == by_method.end()) continue;
      const auto other = full->second.find(sample);
      if (other == full->second.end()) continue;
      differences.push_back(record->score - other->second->score);
      ratios.push_back(other->second->prefill / record->prefill);
    }
    result.samples = scores.size();
    result.score = bootstrap(scores);
    if (!differences.empty() && method != "full") result.against_full = bootstrap(differences);
    if (!recalls.empty()) result.recall = mean_of(recalls);
    result.kept = mean_of(kept);
    if (!ratios.empty()) result.speed_up = median(ratios);
    result.cache_bytes = mean_of(bytes);
    out.push_back(std::move(result));
  }
  return out;
}

}  // namespace promptdistill::examples
