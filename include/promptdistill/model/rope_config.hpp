#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What config.json says about rotary position embeddings, in every spelling Hugging Face has had.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "promptdistill/io/json_file.hpp"

namespace promptdistill {

/// Rotary position embeddings: the base and how a longer context than the first training's is
/// reached. Names are config.json's.
struct RopeConfig {
  enum class Type { kDefault, kLlama3, kLinear, kDynamic, kYarn, kLongRope };

  static constexpr std::array<std::pair<const char*, Type>, 6> kTypeNames{
      {{"default", Type::kDefault},
       {"linear", Type::kLinear},
       {"dynamic", Type::kDynamic},
       {"yarn", Type::kYarn},
       {"longrope", Type::kLongRope},
       {"llama3", Type::kLlama3}}};

  Type type = Type::kDefault;
  std::int64_t rotary_dim = 0;  // leading elements of a head that are rotated, even
  double theta = 10000.0;
  double factor = 1.0;
  double low_freq_factor = 1.0;                       // llama3
  double high_freq_factor = 4.0;                      // llama3
  std::int64_t original_max_position_embeddings = 0;  // tokens; 0: not needed by the type
  double attention_factor = 1.0;                      // of cos and sin; yarn and longrope
  double beta_fast = 32.0;                            // yarn
  double beta_slow = 1.0;                             // yarn
  bool truncate = true;                               // yarn: whole dimensions bound the ramp
  std::vector<double> short_factor, long_factor;      // longrope, [rotary_dim / 2]

  /// `head_dim` elements a head, of which partial_rotary_factor counts only where the family
  /// honours it; `context`: max_position_embeddings.
  static RopeConfig parse(const JsonObject& json,
                          std::int64_t head_dim,
                          bool partial_rotary,
                          std::int64_t context) {
    const char* key = json.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
    const JsonObject scaling =
        json.has(key) ? json.object(key) : JsonObject(json.path(), nlohmann::json::object());
    // transformers 5 writes everything into rope_parameters, but may leave the rest where it was.
    const auto holder = [&](const char* name) -> const JsonObject& {
      return scaling.has(name) ? scaling : json;
    };
    RopeConfig rope;
    if (const JsonObject& at = holder("rope_theta"); at.has("rope_theta"))
      rope.theta = positive(at, "rope_theta");
    rope.rotary_dim = head_dim;
    if (const JsonObject& at = holder("partial_rotary_factor"); at.has("partial_rotary_factor"))
      rope.rotary_dim = partial(at, head_dim, partial_rotary);
    for (const char* layers : {"full_attention", "sliding_attention"}) {
      if (scaling.has(layers))
        scaling.fail(layers, "is not supported: all layers must share their rotary embeddings");
    }
    rope.type = parse_type(scaling);
    switch (rope.type) {
      case Type::kDefault:
        break;
      case Type::kLlama3:
        rope.parse_llama3(scaling, context);
        break;
      case Type::kLinear:
        rope.factor = positive(scaling, "factor");
        break;
      case Type::kDynamic:
        rope.factor = positive(scaling, "factor");
        if (rope.factor < 1) must(scaling, "factor", "must be at least 1");
        if (rope.rotary_dim < 4)
          json.fail("head_dim",
                    "must be at least 4 for dynamic RoPE, got " + std::to_string(rope.rotary_dim));
        rope.original_max_position_embeddings = context;
        break;
      case Type::kYarn:
        rope.parse_yarn(scaling, context);
        break;
      case Type::kLongRope:
        rope.parse_longrope(json, scaling, context);
        break;
    }
    return rope;
  }

  /// How many tokens a request may have: what config.json's max_position_embeddings becomes. For
  /// linear, dynamic and yarn that key is the length before scaling, as transformers documents.
  std::int64_t context(std::int64_t max_position_embeddings) const {
    const bool scales = type == Type::kLinear || type == Type::kDynamic || type == Type::kYarn;
    if (!scales) return max_position_embeddings;
    const std::int64_t trained =
        type == Type::kYarn ? original_max_position_embeddings : max_position_embeddings;
    const double scaled = std::min(static_cast<double>(trained) * factor, 1e15);
    return std::max(max_position_embeddings, static_cast<std::int64_t>(scaled));
  }

 private:
  static constexpr std::int64_t kMostTokens = std::int64_t{1} << 24;

  [[noreturn]] static void must(const JsonObject& json, const char* key, const std::string& rule) {
    json.fail(key, rule + ", got " + JsonObject::shown(json.json().at(key)));
  }

  static double positive(const JsonObject& json, const char* key) {
    const double value = json.get<double>(key);
    if (!(std::isfinite(value) && value > 0)) must(json, key, "must be a number above 0");
    return value;
  }

  static double positive_or(const JsonObject& json, const char* key, double fallback) {
    return json.has(key) ? positive(json, key) : fallback;
  }

  static std::int64_t partial(const JsonObject& json, std::int64_t head_dim, bool honoured) {
    const char* key = "partial_rotary_factor";
    const double share = positive(json, key);
    if (!honoured && share != 1) must(json, key, "must be 1 for this model_type");
    const auto dim =
        static_cast<std::int64_t>(static_cast<double>(head_dim) * std::min(share, 2.0));
    if (share > 1 || dim < 2 || dim % 2 != 0)
      must(json, key, "must give an even part of the head size " + std::to_string(head_dim));
    return dim;
  }

  static Type parse_type(const JsonObject& scaling) {
    const char* key = scaling.has("rope_type") ? "rope_type" : "type";
    const std::string type = scaling.get_or<std::string>(key, "default");
    std::string list;
    // Phi-3's first files call longrope "su" or "yarn".
    if (type == "su" || (type == "yarn" && scaling.has("short_factor"))) return Type::kLongRope;
    for (const auto& [name, named] : kTypeNames) {
      if (type == name) return named;
      if (!list.empty()) list += ", ";
      list += name;
    }
    must(scaling, key, "must be a supported one: " + list);
  }

  void parse_llama3(const JsonObject& scaling, std::int64_t context) {
    factor = positive(scaling, "factor");
    low_freq_factor = positive(scaling, "low_freq_factor");
    high_freq_factor = positive(scaling, "high_freq_factor");
    if (high_freq_factor <= low_freq_factor)
      must(scaling, "high_freq_factor", "must be above low_freq_factor");
    original_max_position_embeddings =
        scaling.integer("original_max_position_embeddings", 1, kMostTokens, context);
  }

  /// Source: YaRN, arXiv 2309.00071; the attention factor is section 3.4's 0.1 ln(s) + 1.
  void parse_yarn(const JsonObject& scaling, std::int64_t context) {
    factor = positive(scaling, "factor");
    original_max_position_embeddings =
        scaling.integer("original_max_position_embeddings", 1, kMostTokens, context);
    beta_fast = positive_or(scaling, "beta_fast", beta_fast);
    beta_slow = positive_or(scaling, "beta_slow", beta_slow);
    if (beta_fast < beta_slow) must(scaling, "beta_fast", "must be at least beta_slow");
    if (theta == 1) scaling.fail("rope_theta", "must not be 1 for yarn RoPE");
    truncate = scaling.get_or<bool>("truncate", true);
    const auto scale = [&](double weight) {
      return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
    };
    const double over = scaling.get_or<double>("mscale", 0),
                 under = scaling.get_or<double>("mscale_all_dim", 0);
    attention_factor = positive_or(scaling, "attention_factor",
                                   over != 0 && under != 0 ? scale(over) / scale(under) : scale(1));
    if (!(std::isfinite(attention_factor) && attention_factor > 0))
      must(scaling, "mscale", "must give an attention factor above 0");
  }

  /// Source: LongRoPE, arXiv 2402.13753; the attention factor is Phi-3's sqrt(1 + ln(s) / ln(L)).
  void parse_longrope(const JsonObject& json, const JsonObject& scaling, std::int64_t context) {
    const char* original = "original_max_position_embeddings";
    const JsonObject& at = json.has(original) ? json : scaling;
    original_max_position_embeddings = at.integer(original, 1, kMostTokens, context);
    factor = static_cast<double>(context) / static_cast<double>(original_max_position_embeddings);
    if (!json.has(original)) factor = positive_or(scaling, "factor", factor);
    const double length = static_cast<double>(original_max_position_embeddings);
    attention_factor = positive_or(
        scaling, "attention_factor",
        factor <= 1 || length <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(length)));
    short_factor = factors(scaling, "short_factor");
    long_factor = factors(scaling, "long_factor");
  }

  std::vector<double> factors(const JsonObject& scaling, const char* key) const {
    if (!scaling.has(key)) scaling.fail(key, "is missing");
    const nlohmann::json& list = scaling.json().at(key);
    std::vector<double> out;
    if (list.is_array()) {
      for (const auto& number : list) {
        if (number.is_number() && number.get<double>() > 0 && std::isfinite(number.get<double>()))
          out.push_back(number.get<double>());
      }
    }
    const auto wanted = static_cast<std::size_t>(rotary_dim / 2);
    if (out.size() != wanted || list.size() != wanted)
      must(
          scaling, key,
          "must be a list of " + std::to_string(wanted) + " numbers above 0, one per rotated pair");
    return out;
  }
};

/// As config.json writes it.
inline const char* rope_type_name(RopeConfig::Type type) {
  for (const auto& [name, named] : RopeConfig::kTypeNames) {
    if (named == type) return name;
  }
  return "";
}

}  // namespace promptdistill
