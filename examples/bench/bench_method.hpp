#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The methods that are measured side by side: those asked for, else a set that fits the model.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "promptdistill/baseline/method_text.hpp"
#include "promptdistill/model/model_config.hpp"

namespace promptdistill::examples {

struct BenchMethod {
  std::string label;  // for people
  MethodOptions options;

  std::string text() const { return to_string(options); }  // what records know it by
};

namespace detail {

/// Settings were found on SmolLM2's 30 layers; elsewhere a stage stands at the same share of the
/// depth, before the last layer.
inline std::int64_t scaled_layer(std::int64_t of_30, const ModelConfig& config) {
  const double share = static_cast<double>(of_30) / 30;
  const auto layer =
      static_cast<std::int64_t>(std::lround(share * static_cast<double>(config.num_hidden_layers)));
  return std::clamp<std::int64_t>(layer, 0,
                                  std::max<std::int64_t>(config.num_hidden_layers - 2, 0));
}

/// An observation window, wide smoothing and a protected start, as in examples/profiles.
/// Heads that vote are a checkpoint's own; SmolLM2's are taken for its shape alone.
inline MethodOptions distilled(std::vector<Stage> stages,
                               const ModelConfig& config,
                               std::int64_t truncated = kTruncateAll) {
  MethodOptions method;
  method.kind = MethodKind::kPromptDistill;
  // Shallow models put several stages at one layer: the last one says what is left.
  for (std::size_t i = 0; i < stages.size(); ++i) {
    if (i + 1 == stages.size() || stages[i].layer < stages[i + 1].layer)
      method.distill.stages.push_back(stages[i]);
  }
  method.distill.truncated_stages = truncated;
  method.distill.scorer = ScorerKind::kWindow;
  method.distill.window = method.distill.stages.size() > 1 ? 32 : 16;
  method.distill.pool = 15;
  method.distill.protect_first = 4;
  if (config.num_hidden_layers == 30 && config.num_attention_heads == 9) {
    const HeadMap smollm2{{7, {7}}, {14, {1, 3}}, {20, {3, 4, 5}}};
    for (const Stage& stage : method.distill.stages) {
      if (smollm2.contains(stage.layer))
        method.distill.heads[stage.layer] = smollm2.at(stage.layer);
    }
  }
  return method;
}

inline BenchMethod full_attention() { return {"full", {}}; }

/// A model of one layer has no place for a stage.
inline bool has_stages(const ModelConfig& config) { return config.num_hidden_layers >= 2; }

}  // namespace detail

/// Rows that stay in every layer's cache by each of default_methods' rivals: 512 that are chosen,
/// 16 of the window and 4 of the start, as a stage of 512 keeps.
inline constexpr std::int64_t kKeptRows = 532;

/// Full attention; one stage at two depths, and three; GemFilter at the same layers; and what keeps
/// as many cache rows without selecting hidden states.
inline std::vector<BenchMethod> default_methods(const ModelConfig& config) {
  std::vector<BenchMethod> methods{detail::full_attention()};
  const auto add = [&](std::string label, MethodKind kind, auto&& set) {
    MethodOptions method;
    method.kind = kind;
    set(method);
    methods.push_back({std::move(label), method});
  };
  if (detail::has_stages(config)) {
    const std::int64_t first = detail::scaled_layer(7, config),
                       middle = detail::scaled_layer(14, config),
                       deep = detail::scaled_layer(20, config);
    std::vector<std::int64_t> layers{middle};
    if (deep != middle) layers.push_back(deep);
    for (const std::int64_t layer : layers) {
      methods.push_back({fmt::format("distilled {}:512", layer),
                         detail::distilled({{layer, Count{512}}}, config)});
    }
    const MethodOptions stages =
        detail::distilled({{first, Count{2048}}, {middle, Count{512}}, {deep, Count{256}}}, config);
    methods.push_back({"distilled " + to_string(stages.distill.stages), stages});
    for (const std::int64_t layer : layers) {
      const auto set = [layer](MethodOptions& method) {
        method.gem_filter.layer = layer;
        method.gem_filter.tokens = kKeptRows;
      };
      add(fmt::format("GemFilter {}", layer), MethodKind::kGemFilter, set);
      add(fmt::format("GemFilter {}, improved", layer), MethodKind::kGemFilterImproved, set);
    }
  }
  add("SnapKV", MethodKind::kSnapKv,
      [](MethodOptions& method) { method.snap_kv.capacity = kKeptRows; });
  add("H2O", MethodKind::kH2o, [](MethodOptions& method) {
    method.h2o.heavy = kKeptRows / 2;
    method.h2o.recent = kKeptRows - kKeptRows / 2;
  });
  add("StreamingLLM", MethodKind::kStreamingLlm, [](MethodOptions& method) {
    method.streaming_llm.recent = kKeptRows - method.streaming_llm.sinks;
  });
  if (detail::has_stages(config)) {
    add("FastKV", MethodKind::kFastKv, [&](MethodOptions& method) {
      method.fast_kv.layer = detail::scaled_layer(14, config);  // 15 of 32
      method.fast_kv.capacity = kKeptRows;
    });
  }
  return methods;
}

}  // namespace promptdistill::examples
