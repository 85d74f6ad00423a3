#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Methods as text: NAME or NAME:key=value,key=value, the same for every program.

#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "promptdistill/baseline/method.hpp"
#include "promptdistill/options.hpp"

namespace promptdistill {

namespace detail {

struct MethodName {
  MethodKind kind;
  const char* name;
};

inline constexpr std::array<MethodName, 8> kMethodNames{{
    {MethodKind::kFull, "full"},
    {MethodKind::kPromptDistill, "promptdistill"},
    {MethodKind::kGemFilter, "gemfilter"},
    {MethodKind::kGemFilterImproved, "gemfilter-improved"},
    {MethodKind::kSnapKv, "snapkv"},
    {MethodKind::kH2o, "h2o"},
    {MethodKind::kStreamingLlm, "streamingllm"},
    {MethodKind::kFastKv, "fastkv"},
}};

/// DistillOptions::truncated_stages, whose text is none, all or a number.
struct TruncatedStages {
  std::int64_t& stages;
};

}  // namespace detail

inline std::string to_string(MethodKind kind) {
  return std::find_if(detail::kMethodNames.begin(), detail::kMethodNames.end(),
                      [&](const detail::MethodName& entry) { return entry.kind == kind; })
      ->name;
}

inline std::string to_string(Placement placement) {
  return placement == Placement::kBefore ? "before" : "after";
}

inline Placement parse_placement(std::string_view text) {
  TORCH_CHECK_VALUE(text == "before" || text == "after",
                    "promptdistill: the placement must be before or after, got '", text, "'");
  return text == "before" ? Placement::kBefore : Placement::kAfter;
}

/// Calls visit(key, value) for each setting of the chosen method, in a fixed order; `value` refers
/// into `method` and is of the setting's own type. What text and JSON of a method have in common.
template <class Visit>
void visit_settings(MethodOptions& method, Visit&& visit) {
  switch (method.kind) {
    case MethodKind::kFull:
      break;
    case MethodKind::kPromptDistill:
      visit("stages", method.distill.stages);
      visit("truncate", detail::TruncatedStages{method.distill.truncated_stages});
      visit("placement", method.placement);
      visit("scorer", method.distill.scorer);
      visit("window", method.distill.window);
      visit("skip_last", method.distill.skip_last);
      visit("heads", method.distill.heads);
      visit("pool", method.distill.pool);
      visit("protect_first", method.distill.protect_first);
      visit("protect_last", method.distill.protect_last);
      break;
    case MethodKind::kGemFilter:
    case MethodKind::kGemFilterImproved:
      visit("layer", method.gem_filter.layer);
      visit("tokens", method.gem_filter.tokens);
      visit("pool", method.gem_filter.pool);
      break;
    case MethodKind::kSnapKv:
      visit("capacity", method.snap_kv.capacity);
      visit("window", method.snap_kv.window);
      visit("pool", method.snap_kv.pool);
      visit("pooling", method.snap_kv.pooling);
      break;
    case MethodKind::kH2o:
      visit("heavy", method.h2o.heavy);
      visit("recent", method.h2o.recent);
      break;
    case MethodKind::kStreamingLlm:
      visit("sinks", method.streaming_llm.sinks);
      visit("recent", method.streaming_llm.recent);
      break;
    case MethodKind::kFastKv:
      visit("layer", method.fast_kv.layer);
      visit("rate", method.fast_kv.rate);
      visit("capacity", method.fast_kv.capacity);
      visit("window", method.fast_kv.window);
      visit("pool", method.fast_kv.pool);
      break;
  }
}

namespace detail {

inline std::string setting_text(std::int64_t value) { return std::to_string(value); }
inline std::string setting_text(double value) {
  char text[32];
  return std::string(text, std::to_chars(text, std::end(text), value).ptr);
}
inline std::string setting_text(const std::vector<Stage>& value) { return to_string(value); }
inline std::string setting_text(const HeadMap& value) { return to_string(value); }
inline std::string setting_text(ScorerKind value) { return to_string(value); }
inline std::string setting_text(Placement value) { return to_string(value); }
inline std::string setting_text(PoolKind value) {
  return value == PoolKind::kAverage ? "avg" : "max";
}
inline std::string setting_text(TruncatedStages value) {
  if (value.stages == kTruncateAll) return "all";
  return value.stages == 0 ? "none" : std::to_string(value.stages);
}

inline void read_setting(const std::string& text, const std::string& what, std::int64_t& value) {
  value = parse_number<std::int64_t>(text, what, text);
}
inline void read_setting(const std::string& text, const std::string& what, double& value) {
  value = parse_number<double>(text, what, text);
}
inline void read_setting(const std::string& text, const std::string&, std::vector<Stage>& value) {
  value = parse_stages(text);
}
inline void read_setting(const std::string& text, const std::string&, HeadMap& value) {
  value = parse_heads(text);
}
inline void read_setting(const std::string& text, const std::string&, ScorerKind& value) {
  value = parse_scorer(text);
}
inline void read_setting(const std::string& text, const std::string&, TruncatedStages value) {
  value.stages = parse_truncate(text);
}
inline void read_setting(const std::string& text, const std::string&, Placement& value) {
  value = parse_placement(text);
}
inline void read_setting(const std::string& text, const std::string& what, PoolKind& value) {
  TORCH_CHECK_VALUE(text == "avg" || text == "max", "promptdistill: ", what,
                    " must be avg or max, got '", text, "'");
  value = text == "avg" ? PoolKind::kAverage : PoolKind::kMax;
}

/// Whether the other settings leave this one something to do.
inline bool matters(const MethodOptions& method, std::string_view key) {
  return method.kind != MethodKind::kPromptDistill || key != "window" ||
         has_window(method.distill.scorer);
}

/// "a=1,b=2:3,4" -> {a, 1}, {b, 2:3,4}: a comma begins a setting where a key and = follow.
inline std::vector<std::pair<std::string, std::string>> split_settings(std::string_view text,
                                                                       std::string_view whole) {
  std::vector<std::pair<std::string, std::string>> settings;
  for (const std::string& part : split(text, ',')) {
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos) {
      TORCH_CHECK_VALUE(!settings.empty(),
                        "promptdistill: a method must read NAME or NAME:key=value,..., got '",
                        whole, "'");
      settings.back().second += ',' + part;
    } else {
      settings.emplace_back(part.substr(0, equals), part.substr(equals + 1));
    }
  }
  return settings;
}

}  // namespace detail

/// "snapkv", "snapkv:capacity=512,window=32", "promptdistill:stages=7:2048,14:512,truncate=all". A
/// setting that is not named keeps its default. Throws c10::ValueError on an unknown name or
/// setting, one given twice, and a value that breaks its rule; what depends on the model is
/// check's.
inline MethodOptions parse_method(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string name(text.substr(0, colon));
  std::string names;
  MethodOptions method;
  bool found = false;
  for (const detail::MethodName& entry : detail::kMethodNames) {
    names += names.empty() ? "" : ", ";
    names += entry.name;
    if (name != entry.name) continue;
    method.kind = entry.kind;
    found = true;
  }
  TORCH_CHECK_VALUE(found, "promptdistill: a method must be one of ", names, ", got '", name, "'");
  if (colon != std::string_view::npos) {
    std::vector<std::string> seen;
    for (const auto& [key, value] : detail::split_settings(text.substr(colon + 1), text)) {
      std::string keys;
      bool known = false;
      visit_settings(method, [&, &key = key, &value = value](const char* each, auto&& setting) {
        keys += keys.empty() ? "" : ", ";
        keys += each;
        if (key != each) return;
        known = true;
        detail::read_setting(value, name + "'s " + key, setting);
      });
      TORCH_CHECK_VALUE(known, "promptdistill: ", name, " has ",
                        keys.empty() ? "no settings" : "the settings " + keys, ", got '", key, "'");
      TORCH_CHECK_VALUE(std::find(seen.begin(), seen.end(), key) == seen.end(),
                        "promptdistill: a setting must be given once, got ", key, " twice in '",
                        text, "'");
      seen.push_back(key);
    }
    for (const std::string& key : seen)
      TORCH_CHECK_VALUE(detail::matters(method, key), "promptdistill: ", key,
                        " has no effect with the other settings of '", text, "'");
  }
  check_settings(method);
  return method;
}

/// The reverse of parse_method: the name and every setting that is not the default.
inline std::string to_string(const MethodOptions& method) {
  MethodOptions own = method, defaults;
  defaults.kind = method.kind;
  std::vector<std::string> usual;
  visit_settings(defaults, [&](const char*, auto&& setting) {
    usual.push_back(detail::setting_text(setting));
  });
  std::string text = to_string(method.kind);
  std::size_t index = 0;
  char separator = ':';
  visit_settings(own, [&](const char* key, auto&& setting) {
    const std::string value = detail::setting_text(setting);
    if (value == usual[index++] || !detail::matters(own, key)) return;
    text += separator;
    text += key;
    text += '=';
    text += value;
    separator = ',';
  });
  return text;
}

}  // namespace promptdistill
