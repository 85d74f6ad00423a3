#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Models of a known shape with random weights, built in memory: their speed is that of real ones.

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "examples/common/program.hpp"
#include "promptdistill/io/json_file.hpp"
#include "promptdistill/model/causal_lm.hpp"
#include "promptdistill/model/model_config.hpp"

namespace promptdistill::examples {

struct RandomShape {
  const char* name;
  const char* what;
  const char* config;  // as config.json
};

inline constexpr std::array<RandomShape, 2> kRandomShapes{{
    {"llama-3.1-8b-4-layers",
     "Llama-3.1-8B's layers, 4 of its 32, with a vocabulary of 32,768 instead of 128,256",
     R"({"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
         "num_hidden_layers": 4, "num_attention_heads": 32, "num_key_value_heads": 8,
         "vocab_size": 32768, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5,
         "rope_theta": 500000.0, "torch_dtype": "bfloat16",
         "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                          "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}})"},
    {"tiny", "6 layers of 64 elements, for trying the program itself",
     R"({"model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
         "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 2,
         "vocab_size": 256, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5,
         "torch_dtype": "float32"})"},
}};

inline const RandomShape& random_shape(const std::string& name) {
  std::string names;
  for (const RandomShape& shape : kRandomShapes) {
    if (name == shape.name) return shape;
    names += names.empty() ? "" : ", ";
    names += shape.name;
  }
  throw UsageError(fmt::format("--random must be one of {}, got {}", names, name));
}

/// The shape's config.json, with another number of layers where one is given.
inline nlohmann::json random_config_json(const RandomShape& shape,
                                         std::optional<std::int64_t> layers) {
  nlohmann::json config = nlohmann::json::parse(shape.config);
  if (layers) config["num_hidden_layers"] = *layers;
  return config;
}

inline ModelConfig random_config(const RandomShape& shape, std::optional<std::int64_t> layers) {
  return ModelConfig::parse(JsonObject(shape.name, random_config_json(shape, layers)));
}

inline at::ScalarType random_dtype(const RandomShape& shape) {
  return nlohmann::json::parse(shape.config).at("torch_dtype") == "float32" ? at::kFloat
                                                                            : at::kBFloat16;
}

/// Weights drawn from a normal distribution of standard deviation 0.02, norms of 1: the same for
/// the same seed, device and dtype.
inline CausalLm random_model(const ModelConfig& config,
                             at::ScalarType dtype,
                             at::Device device,
                             std::uint64_t seed) {
  const auto options = at::TensorOptions(device).dtype(dtype);
  at::manual_seed(seed);
  const auto matrix = [&](std::int64_t out, std::int64_t in) {
    return at::empty({out, in}, options).normal_(0, 0.02);
  };
  const auto linear = [&](std::int64_t out, std::int64_t in) {
    return Linear{matrix(out, in), {}};
  };
  const auto norm = [&](std::int64_t size) {
    return RmsNorm{at::ones({size}, options), config.rms_norm_eps};
  };
  const std::int64_t e = config.hidden_size, m = config.intermediate_size,
                     q = config.num_attention_heads * config.head_dim,
                     kv = config.num_key_value_heads * config.head_dim;
  CausalLm lm;
  lm.config = config;
  lm.model.embed_tokens = matrix(config.vocab_size, e);
  for (std::int64_t l = 0; l < config.num_hidden_layers; ++l) {
    DecoderLayer layer;
    layer.input_layernorm = norm(e);
    layer.self_attn.q_proj = linear(q, e);
    layer.self_attn.k_proj = linear(kv, e);
    layer.self_attn.v_proj = linear(kv, e);
    layer.self_attn.o_proj = linear(e, q);
    layer.self_attn.head_dim = config.head_dim;
    layer.post_attention_layernorm = norm(e);
    layer.mlp.gate_proj = linear(m, e);
    layer.mlp.up_proj = linear(m, e);
    layer.mlp.down_proj = linear(e, m);
    lm.model.layers.push_back(std::move(layer));
  }
  lm.model.norm = norm(e);
  lm.lm_head = matrix(config.vocab_size, e);
  lm.rope = Rope(config, device);
  return lm;
}

}  // namespace promptdistill::examples
