#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What a Hugging Face folder says about its model: config.json and generation_config.json.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "promptdistill/io/json_file.hpp"
#include "promptdistill/io/load_error.hpp"
#include "promptdistill/model/family.hpp"
#include "promptdistill/model/rope_config.hpp"

namespace promptdistill {

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
  std::int64_t max_position_embeddings = 0;  // tokens, as the file states it
  double rms_norm_eps = 0;
  bool tie_word_embeddings = false;
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  bool qk_norm = false;
  bool fused_projections = false;
  std::optional<std::int64_t> sliding_window;  // tokens, the query's own among them
  std::vector<bool> slides;                    // [L]; empty: no layer does
  RopeConfig rope;
  std::vector<std::pair<std::string, std::string>> names;  // Family::names

  /// Tokens that prompt and answer may have together: max_position_embeddings after RoPE's scaling.
  std::int64_t context() const { return rope.context(max_position_embeddings); }

  /// The tokens that layer `layer` attends to: the last so many; all where nothing is returned.
  std::optional<std::int64_t> window_of(std::int64_t layer) const {
    if (slides.empty() || !slides[static_cast<std::size_t>(layer)]) return std::nullopt;
    return sliding_window;
  }

  /// Reads `folder`/config.json. Throws LoadError naming the key, its value and what is supported.
  static ModelConfig load(const std::filesystem::path& folder,
                          const std::vector<Family>& families = known_families()) {
    return parse(JsonObject::load(folder / "config.json"), families);
  }

  static ModelConfig parse(const JsonObject& json,
                           const std::vector<Family>& families = known_families()) {
    constexpr std::int64_t kMost = std::int64_t{1} << 24;
    ModelConfig config;
    const Family family = find_family(json, families);
    config.model_type = family.model_type;
    for (const char* key : {"quantization_config", "compression_config"}) {
      if (json.has(key))
        json.fail(key,
                  "names quantised weights, which are not supported; use float32, float16 or "
                  "bfloat16 weights");
    }
    if (const auto act = json.get_or<std::string>("hidden_act", "silu"); act != "silu")
      unsupported(json, "hidden_act", "silu");
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
    config.rms_norm_eps = json.get_or<double>("rms_norm_eps", family.default_rms_norm_eps);
    if (!(config.rms_norm_eps >= 0 && config.rms_norm_eps < 1))
      json.fail("rms_norm_eps",
                "must be in [0, 1), got " + JsonObject::shown(json.json().at("rms_norm_eps")));
    config.tie_word_embeddings = json.get_or<bool>("tie_word_embeddings", false);
    const bool attention_bias = json.get_or<bool>("attention_bias", false);
    config.qkv_bias = family.qkv_bias.value_or(attention_bias);
    config.o_bias = family.o_bias.value_or(attention_bias);
    config.mlp_bias = family.mlp_bias ? *family.mlp_bias : json.get_or<bool>("mlp_bias", false);
    config.qk_norm = family.qk_norm;
    config.fused_projections = family.fused_projections;
    config.names = family.names;
    config.rope = RopeConfig::parse(json, config.head_dim, family.partial_rotary,
                                    config.max_position_embeddings);
    config.parse_sliding(json, family);
    return config;
  }

 private:
  static Family find_family(const JsonObject& json, const std::vector<Family>& families) {
    const auto type = json.get<std::string>("model_type");
    std::string list;
    for (const Family& family : families) {
      if (family.model_type == type) return family;
      if (!list.empty()) list += ", ";
      list += family.model_type;
    }
    unsupported(json, "model_type", list);
  }

  [[noreturn]] static void unsupported(const JsonObject& json,
                                       const std::string& key,
                                       const std::string& supported) {
    json.fail(key, "has the value " + JsonObject::shown(json.json().at(key)) +
                       ", which is not supported; supported: " + supported);
  }

  void parse_sliding(const JsonObject& json, const Family& family) {
    if (family.sliding == Family::Sliding::kNone) return;
    if (family.sliding == Family::Sliding::kUpper &&
        !json.get_or<bool>("use_sliding_window", false))
      return;
    const char* key = "sliding_window";
    if (json.has(key)) {
      sliding_window = json.integer(key, 1, std::int64_t{1} << 40);
    } else if (!json.json().contains(key)) {  // null says that there is none
      sliding_window = family.default_sliding_window;
    }
    if (!sliding_window) return;
    std::int64_t first = 0;
    if (family.sliding == Family::Sliding::kUpper)
      first = json.integer("max_window_layers", 0, std::int64_t{1} << 40, 28);  // Qwen's default
    for (std::int64_t l = 0; l < num_hidden_layers; ++l) slides.push_back(l >= first);
    if (json.has("layer_types")) parse_layer_types(json);
  }

  /// transformers 4.53 and newer spell out what each layer does.
  void parse_layer_types(const JsonObject& json) {
    const char* key = "layer_types";
    const nlohmann::json& types = json.json().at(key);
    if (!types.is_array() || types.size() != slides.size())
      json.fail(key, "must name the attention of each of the " + std::to_string(slides.size()) +
                         " layers");
    for (std::size_t l = 0; l < slides.size(); ++l) {
      if (types[l] != "full_attention" && types[l] != "sliding_attention")
        json.fail(key, "must hold full_attention or sliding_attention, got " +
                           JsonObject::shown(types[l]));
      slides[l] = types[l] == "sliding_attention";
    }
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
