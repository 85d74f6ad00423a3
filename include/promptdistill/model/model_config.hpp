#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What a Hugging Face folder says about its model: config.json and generation_config.json.

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "promptdistill/io/json_file.hpp"
#include "promptdistill/io/load_error.hpp"

namespace promptdistill {

/// Rotary position embeddings: the base and, for llama3, how long wavelengths are slowed.
struct RopeConfig {
  enum class Type { kDefault, kLlama3 };

  Type type = Type::kDefault;
  double theta = 10000.0;
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  std::int64_t original_max_position_embeddings = 0;  // tokens
};

/// The sizes and flags of a decoder of the LLaMA form. Names are config.json's.
struct ModelConfig {
  std::string model_type;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t vocab_size = 0;
  std::int64_t max_position_embeddings = 0;  // tokens: prompt and answer
  double rms_norm_eps = 0;
  bool tie_word_embeddings = false;
  bool attention_bias = false;
  bool mlp_bias = false;
  RopeConfig rope;

  /// Reads `folder`/config.json. Throws LoadError naming the key, its value and what is supported.
  static ModelConfig load(const std::filesystem::path& folder) {
    return parse(JsonObject::load(folder / "config.json"));
  }

  static ModelConfig parse(const JsonObject& json) {
    constexpr std::int64_t kMost = std::int64_t{1} << 24;
    ModelConfig config;
    config.model_type = json.get<std::string>("model_type");
    require(json, "model_type", config.model_type == "llama", "llama");
    if (json.has("quantization_config"))
      json.fail("quantization_config",
                "names quantised weights, which are not supported; use float32, float16 or "
                "bfloat16 weights");
    require(json, "hidden_act", json.get_or<std::string>("hidden_act", "silu") == "silu", "silu");
    config.hidden_size = json.integer("hidden_size", 1, kMost);
    config.intermediate_size = json.integer("intermediate_size", 1, kMost);
    config.num_hidden_layers = json.integer("num_hidden_layers", 1, 4096);
    config.num_attention_heads = json.integer("num_attention_heads", 1, 65536);
    config.num_key_value_heads = json.integer("num_key_value_heads", 1, config.num_attention_heads,
                                              config.num_attention_heads);
    if (config.num_attention_heads % config.num_key_value_heads != 0) {
      json.fail("num_key_value_heads",
                "must divide the " + std::to_string(config.num_attention_heads) +
                    " attention heads, got " + std::to_string(config.num_key_value_heads));
    }
    config.head_dim =
        json.integer("head_dim", 2, 65536, config.hidden_size / config.num_attention_heads);
    if (config.head_dim % 2 != 0)
      json.fail("head_dim",
                "must be even for rotary embeddings, got " + std::to_string(config.head_dim));
    config.vocab_size = json.integer("vocab_size", 1, kMost);
    config.max_position_embeddings = json.integer("max_position_embeddings", 1, kMost);
    config.rms_norm_eps = json.get_or<double>("rms_norm_eps", 1e-6);
    if (!(config.rms_norm_eps >= 0 && config.rms_norm_eps < 1))
      fail_number(json, "rms_norm_eps", "must be in [0, 1)");
    config.tie_word_embeddings = json.get_or<bool>("tie_word_embeddings", false);
    config.attention_bias = json.get_or<bool>("attention_bias", false);
    config.mlp_bias = json.get_or<bool>("mlp_bias", false);
    config.rope = parse_rope(json, config.max_position_embeddings);
    return config;
  }

 private:
  static void require(const JsonObject& json,
                      const std::string& key,
                      bool holds,
                      const std::string& supported) {
    if (!holds)
      json.fail(key, "has the value " + JsonObject::shown(json.json().at(key)) +
                         ", which is not supported; supported: " + supported);
  }

  [[noreturn]] static void fail_number(const JsonObject& json,
                                       const std::string& key,
                                       const std::string& rule) {
    json.fail(key, rule + ", got " + JsonObject::shown(json.json().at(key)));
  }

  static double positive(const JsonObject& json, const std::string& key, double value) {
    if (!(std::isfinite(value) && value > 0)) fail_number(json, key, "must be a number above 0");
    return value;
  }

  /// rope_theta and rope_scaling, or, as transformers 5 writes them, both in rope_parameters (which
  /// may leave rope_theta where it was).
  static RopeConfig parse_rope(const JsonObject& json, std::int64_t context) {
    RopeConfig rope;
    const char* key = json.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
    const JsonObject scaling =
        json.has(key) ? json.object(key) : JsonObject(json.path(), nlohmann::json::object());
    const JsonObject& holder = scaling.has("rope_theta") ? scaling : json;
    if (holder.has("rope_theta"))
      rope.theta = positive(holder, "rope_theta", holder.get<double>("rope_theta"));
    const char* type_key = scaling.has("rope_type") ? "rope_type" : "type";
    const std::string type = scaling.get_or<std::string>(type_key, "default");
    if (type == "default") return rope;
    require(scaling, type_key, type == "llama3", "default, llama3");
    rope.type = RopeConfig::Type::kLlama3;
    const auto number = [&](const char* name) {
      return positive(scaling, name, scaling.get<double>(name));
    };
    rope.factor = number("factor");
    rope.low_freq_factor = number("low_freq_factor");
    rope.high_freq_factor = number("high_freq_factor");
    if (rope.high_freq_factor <= rope.low_freq_factor)
      fail_number(scaling, "high_freq_factor", "must be above low_freq_factor");
    rope.original_max_position_embeddings =
        scaling.integer("original_max_position_embeddings", 1, std::int64_t{1} << 24, context);
    return rope;
  }
};

/// The ids that end an answer: eos_token_id, a number or a list, of generation_config.json, else of
/// config.json.
inline std::set<std::int64_t> load_stop_ids(const std::filesystem::path& folder) {
  const std::filesystem::path preferred = folder / "generation_config.json";
  for (const auto& path : {preferred, folder / "config.json"}) {
    if (path == preferred && !std::filesystem::exists(path)) continue;
    const JsonObject json = JsonObject::load(path);
    if (!json.has("eos_token_id")) continue;
    const nlohmann::json& value = json.json().at("eos_token_id");
    std::set<std::int64_t> ids;
    for (const auto& id : value.is_array() ? value : nlohmann::json::array({value})) {
      if (!id.is_number_unsigned() || id.get<std::uint64_t>() > (std::uint64_t{1} << 31)) {
        json.fail("eos_token_id",
                  "must be a token id or a list of them, got " + JsonObject::shown(value));
      }
      ids.insert(id.get<std::int64_t>());
    }
    return ids;
  }
  return {};
}

}  // namespace promptdistill
