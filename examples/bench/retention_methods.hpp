#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What the paper leaves open: shares of tokens kept, with and without cutting the caches; the
// stage's layer; the number of stages.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "examples/bench/bench_method.hpp"
#include "promptdistill/model/model_config.hpp"

namespace promptdistill::examples {

inline constexpr std::array<int, 6> kRetentions{1, 2, 5, 10, 20, 50};  // per cent

/// A study is a list of methods along one axis.
struct RetentionPoint {
  enum class Study { kRetention, kRetentionCut, kLayer, kStages };
  Study study;
  double at;  // per cent kept, the stage's layer, or the number of stages
  BenchMethod method;
};

/// For a prompt of `length` tokens. A point that a model is too shallow for is left out.
inline std::vector<RetentionPoint> retention_points(const ModelConfig& config,
                                                    std::int64_t length) {
  using Study = RetentionPoint::Study;
  std::vector<RetentionPoint> points;
  if (!detail::has_stages(config)) return points;
  const std::int64_t middle = detail::scaled_layer(14, config);
  for (const bool cut : {false, true}) {
    for (const int percent : kRetentions) {
      const MethodOptions method =
          detail::distilled({{middle, Ratio{percent / 100.0}}}, config, cut ? kTruncateAll : 0);
      points.push_back(
          {cut ? Study::kRetentionCut : Study::kRetention,
           static_cast<double>(percent),
           {fmt::format("{}% at {}{}", percent, middle, cut ? ", caches cut" : ""), method}});
    }
  }
  std::int64_t before = -1;
  for (const std::int64_t of_30 : {2, 5, 8, 11, 14, 17, 20, 23, 26}) {
    const std::int64_t layer = detail::scaled_layer(of_30, config);
    if (layer == before) continue;
    before = layer;
    points.push_back({Study::kLayer,
                      static_cast<double>(layer),
                      {fmt::format("10% at {}, caches cut", layer),
                       detail::distilled({{layer, Ratio{0.1}}}, config)}});
  }
  // All end with the same number of tokens; earlier stages bring the prompt down on the way.
  const std::int64_t kept = std::max<std::int64_t>(length / 20, 1);
  const std::array<Stage, 3> stages{{{detail::scaled_layer(7, config), Count{4 * kept}},
                                     {middle, Count{2 * kept}},
                                     {detail::scaled_layer(20, config), Count{kept}}}};
  if (stages[0].layer < stages[1].layer && stages[1].layer < stages[2].layer) {
    for (std::size_t count = 1; count <= 3; ++count) {
      MethodOptions method = detail::distilled(
          {stages.end() - static_cast<std::ptrdiff_t>(count), stages.end()}, config);
      method.distill.window = 32;  // kept on top of the budget: the same for all
      points.push_back({Study::kStages,
                        static_cast<double>(count),
                        {fmt::format("{} stage{}: {}", count, count == 1 ? "" : "s",
                                     to_string(method.distill.stages)),
                         method}});
    }
  }
  return points;
}

/// Full attention, and each method of the points once, whatever the studies it is part of.
inline std::vector<BenchMethod> methods_of(const std::vector<RetentionPoint>& points) {
  std::vector<BenchMethod> methods{detail::full_attention()};
  for (const RetentionPoint& point : points) {
    const std::string text = point.method.text();
    if (std::none_of(methods.begin(), methods.end(),
                     [&](const BenchMethod& method) { return method.text() == text; }))
      methods.push_back(point.method);
  }
  return methods;
}

}  // namespace promptdistill::examples
