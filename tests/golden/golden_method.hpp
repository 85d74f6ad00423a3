#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The golden files of the method as values; tests/golden/README.md says what their fields mean.

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "promptdistill/model.hpp"
#include "tests/device.hpp"

namespace promptdistill::test {

inline std::filesystem::path golden_dir() { return PROMPTDISTILL_GOLDEN_DIR; }

inline CausalLm load_tiny(const std::string& name) {
  LoadOptions options;
  options.device = test_device();
  return load_causal_lm(golden_dir() / "method" / name, options);
}

inline nlohmann::json read_golden(const std::filesystem::path& name) {
  std::ifstream in(golden_dir() / name);
  return nlohmann::json::parse(in);
}

inline DistillOptions golden_options(const nlohmann::json& test) {
  DistillOptions options;
  const nlohmann::json& scorer = test.at("scorer");
  for (const auto& stage : test.at("stages")) {
    options.stages.push_back(
        {stage.at(0).get<std::int64_t>(), Count{stage.at(1).get<std::int64_t>()}});
  }
  options.truncated_stages = test.at("truncate").get<std::int64_t>();
  if (const auto window = scorer.at("window").get<std::int64_t>(); window > 0) {
    options.scorer = ScorerKind::kWindow;
    options.window = window;
  }
  for (const auto& [layer, heads] : scorer.at("heads").items()) {
    options.heads[std::stoll(layer)] = heads.get<std::vector<std::int64_t>>();
  }
  options.pool = std::max<std::int64_t>(scorer.at("pool").get<std::int64_t>(), 1);
  options.protect_first = scorer.at("protect_first").get<std::int64_t>();
  options.protect_last = scorer.value("protect_last", std::int64_t{0});
  return options;
}

/// A rival's golden settings, which are the oracle's arguments, as our text.
inline std::string rival_text(const nlohmann::json& test) {
  std::string text = test.at("method").get<std::string>();
  char separator = ':';
  for (const auto& [key, value] : test.at("settings").items()) {
    text += separator;
    text += key == "k" ? "tokens" : key == "kind" ? "pooling" : key;
    text += '=';
    text += value.is_string() ? value.get<std::string>() : value.dump();
    separator = ',';
  }
  return text;
}

inline std::vector<std::int64_t> to_vector(const at::Tensor& tensor) {
  const at::Tensor host = tensor.to(at::kCPU).contiguous();
  return {host.const_data_ptr<std::int64_t>(), host.const_data_ptr<std::int64_t>() + host.numel()};
}

/// The largest difference, infinity where one is NaN or the sizes differ.
inline double apart(const at::Tensor& got, const std::vector<double>& expected) {
  const at::Tensor host = got.to(at::kCPU, at::kDouble).contiguous();
  if (host.numel() != static_cast<std::int64_t>(expected.size())) return INFINITY;
  double worst = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(host.const_data_ptr<double>()[i] - expected[i]);
    worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
  }
  return worst;
}

/// The same for logits of which a golden file holds a sample: the best ones and every n-th.
inline double apart_from_sample(const at::Tensor& got, const nlohmann::json& sample) {
  const at::Tensor host = got.to(at::kCPU, at::kDouble).contiguous();
  const auto* values = host.const_data_ptr<double>();
  double worst = 0;
  const auto compare = [&](std::int64_t index, double expected) {
    const double difference = index < host.numel() ? std::abs(values[index] - expected) : INFINITY;
    worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
  };
  for (const auto& pair : sample.at("top"))
    compare(pair.at(0).get<std::int64_t>(), pair.at(1).get<double>());
  const auto every = sample.at("every").get<std::int64_t>();
  const auto listed = sample.at("values").get<std::vector<double>>();
  for (std::size_t i = 0; i < listed.size(); ++i)
    compare(static_cast<std::int64_t>(i) * every, listed[i]);
  return worst;
}

}  // namespace promptdistill::test
