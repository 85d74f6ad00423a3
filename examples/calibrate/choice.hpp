#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Which of the schedules that were tried becomes the profile.

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "examples/calibrate/schedules.hpp"
#include "examples/evaluate/aggregate.hpp"

namespace promptdistill::examples {

/// A candidate and what it was measured to do.
struct Tried {
  Candidate candidate;
  MethodResult result;
  double nll = 0;      // of the expected replies less full attention's, a token's mean
  double longest = 0;  // score less full attention's at the longest length
};

/// Measures of `method` beside full attention, on the samples that both have.
inline Tried measured(Candidate candidate,
                      MethodResult result,
                      const std::vector<ReplyRecord>& records,
                      std::int64_t longest) {
  std::map<std::string, const ReplyRecord*> full;
  for (const ReplyRecord& record : records)
    if (record.method == "full") full[record.sample] = &record;
  std::vector<double> nll, losses;
  for (const ReplyRecord& record : records) {
    const auto other = full.find(record.sample);
    if (record.method != result.method || other == full.end()) continue;
    if (record.nll.is_number() && other->second->nll.is_number())
      nll.push_back(record.nll.get<double>() - other->second->nll.get<double>());
    if (record.about.at("length") == longest) losses.push_back(record.score - other->second->score);
  }
  return {std::move(candidate), std::move(result), nll.empty() ? 0 : mean_of(nll),
          losses.empty() ? 0 : mean_of(losses)};
}

/// What a schedule must not fall short of, shares of 1.
struct ChoiceRule {
  double max_loss = 0.02;    // of the score, on the whole and at the longest length
  double min_recall = 0.97;  // of the facts' tokens: replies of few prompts are too noisy to tell
};

/// The fastest on paper that keeps the rule. Throws std::runtime_error where none does, or where
/// full attention's own score of `full` says too little: below 0.1 there is nothing to lose.
inline const Tried& choose(const std::vector<Tried>& tried, double full, const ChoiceRule& rule) {
  if (tried.empty())
    throw std::runtime_error("no schedule is faster than full attention on paper: nothing written");
  if (full < 0.1) {
    throw std::runtime_error(fmt::format(
        "full attention answers {:.1f} % of the prompts: that says nothing about what a schedule "
        "loses, so nothing is written. Is this an instruction model, and its chat template there?",
        100 * full));
  }
  const Tried* best = nullptr;
  double least = 1, most = 0;
  for (const Tried& each : tried) {
    const double loss = std::max(-each.result.against_full->mean, -each.longest),
                 recall = each.result.recall.value_or(1);
    least = std::min(least, loss);
    most = std::max(most, recall);
    if (loss > rule.max_loss + 1e-9 || recall < rule.min_recall - 1e-9) continue;
    if (best == nullptr || each.candidate.speed_up > best->candidate.speed_up) best = &each;
  }
  if (best == nullptr) {
    throw std::runtime_error(fmt::format(
        "every schedule loses more than {:.1f} points of right replies (the best one {:.1f}) or "
        "keeps less than {:.1f} % of the facts (the best one {:.1f}): nothing written; --max-loss "
        "and --min-recall allow more, --test-prompts measures finer",
        100 * rule.max_loss, 100 * least, 100 * rule.min_recall, 100 * most));
  }
  return *best;
}

}  // namespace promptdistill::examples
