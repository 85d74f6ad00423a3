#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What a reply was and what it cost: a line of the results file per sample and setting.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "promptdistill/io/read_json.hpp"

namespace promptdistill::examples {

struct ReplyRecord {
  std::string sample, prompt;  // the sample's id; a hash of its token ids
  std::string method;          // as parse_method reads it
  nlohmann::json about;        // length, depth, kind
  std::int64_t tokens = 0;     // of the prompt
  double kept = 1;             // share of the prompt's tokens alive after the last stage, or
                               // of its rows in the cache
  nlohmann::json recall;       // share of the needles' tokens among them; null: not known
  nlohmann::json signals;      // SelectionSignals; null: a stage scored nothing or by raw logits
  nlohmann::json strips;       // [ScoreStrip], of every stage that scored; null: none did
  nlohmann::json needles;      // [[begin, end]], shares of the prompt; null: not known
  std::string reply;
  double score = 0;
  nlohmann::json nll;  // of the expected reply, a token's mean, in nats; null: not known
  double prefill = 0, decode = 0;  // seconds; of replies decoded together, its share of the steps
  std::int64_t decoded = 0, cache_bytes = 0;
  bool shared = false;  // the layers before the stage were run once for several settings
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ReplyRecord,
                                                sample,
                                                prompt,
                                                method,
                                                about,
                                                tokens,
                                                kept,
                                                recall,
                                                signals,
                                                strips,
                                                needles,
                                                reply,
                                                score,
                                                nll,
                                                prefill,
                                                decode,
                                                decoded,
                                                cache_bytes,
                                                shared)

/// How much of a sample's needles each head finds: [L][H].
struct HeadRecord {
  std::string sample;
  nlohmann::json about;
  std::int64_t window = 0, pool = 0, budget = 0;
  std::vector<std::vector<float>> recall;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(HeadRecord, sample, about, window, pool, budget, recall)

}  // namespace promptdistill::examples
