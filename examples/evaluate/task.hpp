#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What is asked of a model: prompts, and how their replies are scored.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "examples/common/planted_prompt.hpp"

namespace promptdistill::examples {

struct Sample {
  std::string id;  // unique in its task
  Ids ids;
  std::vector<std::string> references;
  std::string expected;             // a right reply in full; empty: not known
  std::vector<TokenRange> needles;  // where what the reply needs stands; empty: not known
  std::int64_t max_new_tokens = 64;
  nlohmann::json about = nlohmann::json::object();  // length, depth, kind: what results group by
};

/// Prompts are made when they are due: a task of thousands holds none of them.
struct Task {
  std::string name, metric;
  std::size_t size = 0;
  std::function<Sample(std::size_t)> make;
  std::function<double(const Sample&, const std::string& reply)> score;  // 0 to 1
};

}  // namespace promptdistill::examples
