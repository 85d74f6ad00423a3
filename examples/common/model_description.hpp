#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What a model folder holds, in lines to read and as JSON; only config.json must be there.

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "examples/common/model_flags.hpp"
#include "examples/common/units.hpp"
#include "promptdistill/io/json_file.hpp"
#include "promptdistill/io/safetensors_folder.hpp"
#include "promptdistill/model/model_config.hpp"
#include "promptdistill/model/model_sizes.hpp"
#include "promptdistill/text.hpp"

namespace promptdistill::examples {

struct ModelDescription {
  std::vector<std::pair<std::string, std::string>> lines;
  nlohmann::json data;
  at::ScalarType dtype = at::kBFloat16;  // of the weights, else the one that config.json names

  void add(std::string name, std::string text) {
    lines.emplace_back(std::move(name), std::move(text));
  }

  std::string text() const {
    std::string out;
    for (const auto& [name, line] : lines) out += wrapped(fmt::format("  {:<14}", name), line);
    return out;
  }
};

namespace detail {

inline void describe_rope(const ModelConfig& config, ModelDescription& out) {
  const RopeConfig& rope = config.rope;
  const std::string type = rope_type_name(rope.type);
  std::string text = fmt::format("{}, theta {:g}", type, rope.theta);
  nlohmann::json& data = out.data["rope"];
  data = {{"type", type}, {"theta", rope.theta}, {"rotary_dim", rope.rotary_dim}};
  const auto add = [&](const char* key, double value) { data[key] = value; };
  if (rope.type != RopeConfig::Type::kDefault) {
    text += fmt::format(", factor {:g}", rope.factor);
    add("factor", rope.factor);
  }
  if (rope.type == RopeConfig::Type::kLlama3) {
    text += fmt::format(" (low {:g}, high {:g})", rope.low_freq_factor, rope.high_freq_factor);
    add("low_freq_factor", rope.low_freq_factor);
    add("high_freq_factor", rope.high_freq_factor);
  }
  if (rope.original_max_position_embeddings > 0) {
    text += fmt::format(" over an original context of {}",
                        grouped(rope.original_max_position_embeddings));
    data["original_max_position_embeddings"] = rope.original_max_position_embeddings;
  }
  if (rope.attention_factor != 1) {
    text += fmt::format(", attention factor {:.4g}", rope.attention_factor);
    add("attention_factor", rope.attention_factor);
  }
  if (rope.rotary_dim != config.head_dim)
    text += fmt::format(", {} of {} elements rotated", rope.rotary_dim, config.head_dim);
  out.add("RoPE", text);
}

inline void describe_windows(const ModelConfig& config, ModelDescription& out) {
  const auto sliding = std::count(config.slides.begin(), config.slides.end(), true);
  out.data["sliding_window"] = sliding > 0 ? nlohmann::json(*config.sliding_window) : nullptr;
  out.data["sliding_layers"] = sliding;
  if (sliding > 0)
    out.add("sliding window",
            fmt::format("{} tokens in {} of {} layers", grouped(*config.sliding_window), sliding,
                        config.num_hidden_layers));
}

inline void describe_config(const ModelConfig& config, ModelDescription& out) {
  out.add("architecture",
          fmt::format(
              "{}: {} layers, hidden {}, {} query and {} KV heads of {}, MLP {}, vocabulary {}{}",
              config.model_type, config.num_hidden_layers, grouped(config.hidden_size),
              config.num_attention_heads, config.num_key_value_heads, config.head_dim,
              grouped(config.intermediate_size), grouped(config.vocab_size),
              config.tie_word_embeddings ? ", tied embeddings" : ""));
  out.add("parameters", grouped(parameter_count(config)));
  out.add("context", grouped(config.context()) + " tokens");
  out.data = {{"model_type", config.model_type},
              {"num_hidden_layers", config.num_hidden_layers},
              {"hidden_size", config.hidden_size},
              {"num_attention_heads", config.num_attention_heads},
              {"num_key_value_heads", config.num_key_value_heads},
              {"head_dim", config.head_dim},
              {"intermediate_size", config.intermediate_size},
              {"vocab_size", config.vocab_size},
              {"tie_word_embeddings", config.tie_word_embeddings},
              {"context", config.context()},
              {"parameters", parameter_count(config)}};
  describe_rope(config, out);
  describe_windows(config, out);
}

inline void describe_weights(const std::filesystem::path& folder,
                             const ModelConfig& config,
                             ModelDescription& out) {
  std::int64_t count = 0, bytes = 0;
  std::set<std::string> dtypes;
  std::set<std::string> files;
  const SafetensorsFolder weights = SafetensorsFolder::open(folder);
  for (const auto& [name, file] : weights.tensors()) {
    files.insert(file->path().filename().string());
    // What loading skips: frequencies that old exports store, a tied tensor's second copy.
    if (name.ends_with("rotary_emb.inv_freq") ||
        (config.tie_word_embeddings && name == "lm_head.weight"))
      continue;
    const SafetensorsFile::Entry& entry = file->entries().at(name);
    const auto size = static_cast<std::int64_t>(entry.size);
    bytes += size;
    count += size / static_cast<std::int64_t>(at::elementSize(entry.dtype));
    dtypes.insert(dtype_name(entry.dtype));
  }
  const std::int64_t expected = parameter_count(config);
  std::string dtype_text;
  for (const std::string& dtype : dtypes) {
    if (const auto known = dtype_of(dtype)) out.dtype = *known;
    if (!dtype_text.empty()) dtype_text += " and ";
    dtype_text += dtype;
  }
  out.add("weights",
          fmt::format("{} in {}, {}; {}", bytes_text(bytes), dtype_text,
                      files.size() == 1 ? *files.begin() : fmt::format("{} files", files.size()),
                      count == expected
                          ? "as many parameters as config.json says"
                          : fmt::format("{} parameters, against config.json's", grouped(count))));
  out.data["weights"] = {
      {"files", files.size()}, {"bytes", bytes}, {"parameters", count}, {"dtypes", dtypes}};
}

/// Adds what `read` finds, or why the part cannot be used: a model can be planned without it.
template <class Read>
void describe_part(const char* name,
                   const char* key,
                   const std::filesystem::path& folder,
                   std::initializer_list<const char*> files,
                   ModelDescription& out,
                   Read&& read) {
  const auto there = [&](const char* file) { return std::filesystem::exists(folder / file); };
  out.data[key] = nullptr;
  if (std::none_of(files.begin(), files.end(), there)) return out.add(name, "not in this folder");
  try {
    read();
  } catch (const LoadError& error) {
    std::string problem = error.what();
    for (const std::string& known : {std::string("promptdistill: "), folder.string() + "/"}) {
      if (problem.starts_with(known)) problem.erase(0, known.size());
    }
    out.add(name, "cannot be used: " + problem);
    out.data[key] = {{"problem", problem}};
  }
}

}  // namespace detail

/// Throws c10::ValueError where the config's sizes exceed 64 bits, and LoadError where config.json
/// cannot be read; what else is damaged or missing is told in its line.
inline ModelDescription describe(const std::filesystem::path& folder, const ModelConfig& config) {
  ModelDescription out;
  detail::describe_config(config, out);
  const JsonObject json = JsonObject::load(folder / "config.json");
  for (const char* key : {"torch_dtype", "dtype"}) {  // the older and the newer name
    if (json.has(key) && json.json().at(key).is_string())
      out.dtype = dtype_of(json.get<std::string>(key)).value_or(out.dtype);
  }
  detail::describe_part("weights", "weights", folder,
                        {"model.safetensors", "model.safetensors.index.json"}, out,
                        [&] { detail::describe_weights(folder, config, out); });
  const ModelSizes sizes(config);
  const auto element = static_cast<std::int64_t>(at::elementSize(out.dtype));
  const std::int64_t row = (sizes.layers * (2 * sizes.keys * element + 8)).value();
  out.add("cache", fmt::format("{} per token in {}", bytes_text(row), dtype_name(out.dtype)));
  out.data["cache_bytes_per_token"] = row;
  detail::describe_part("tokenizer", "tokenizer", folder, {"tokenizer.json"}, out, [&] {
    const std::int64_t tokens = Tokenizer::load(folder).vocab_size();
    out.add("tokenizer", grouped(tokens) + " tokens");
    out.data["tokenizer"] = {{"tokens", tokens}};
  });
  detail::describe_part(
      "chat format", "chat_format", folder, {"chat_template.jinja", "tokenizer_config.json"}, out,
      [&] {
        const ChatFormat format = ChatFormat::load(folder);
        const auto& system = format.default_system();
        out.add("chat format", fmt::format("a turn ends with {}, {}", format.end_of_turn(),
                                           system ? "default system message: " + *system
                                                  : "no default system message"));
        out.data["chat_format"] = {
            {"end_of_turn", format.end_of_turn()},
            {"default_system", system ? nlohmann::json(*system) : nlohmann::json()}};
      });
  return out;
}

}  // namespace promptdistill::examples
