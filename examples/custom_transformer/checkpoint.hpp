#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Reads a LLaMA checkpoint (one file, default RoPE) into the decoder.

#include <cstddef>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>

#include "examples/custom_transformer/decoder.hpp"
#include "promptdistill/io/safetensors.hpp"
#include "promptdistill/model/model_config.hpp"

namespace custom {

inline Config read_config(const std::filesystem::path& folder) {
  const promptdistill::ModelConfig c = promptdistill::ModelConfig::load(folder);
  if (c.model_type != "llama" || c.rope.type != promptdistill::RopeConfig::Type::kDefault)
    throw std::runtime_error("this example knows model_type llama with the default RoPE only");
  return {c.vocab_size,
          c.hidden_size,
          c.intermediate_size,
          c.num_hidden_layers,
          c.num_attention_heads,
          c.num_key_value_heads,
          c.head_dim,
          c.rope.theta,
          c.rms_norm_eps,
          c.qkv_bias,
          c.mlp_bias};
}

/// A Hugging Face checkpoint, copied into the decoder's own names.
inline Decoder load_decoder(const std::filesystem::path& folder) {
  Decoder decoder(read_config(folder));
  const promptdistill::SafetensorsFile file =
      promptdistill::SafetensorsFile::open(folder / "model.safetensors");
  const std::map<std::string, std::string> parts{
      {"input_norm", "input_layernorm"}, {"query", "self_attn.q_proj"},
      {"key", "self_attn.k_proj"},       {"value", "self_attn.v_proj"},
      {"output", "self_attn.o_proj"},    {"inner_norm", "post_attention_layernorm"},
      {"gate", "mlp.gate_proj"},         {"up", "mlp.up_proj"},
      {"down", "mlp.down_proj"}};
  for (auto& parameter : decoder.named_parameters()) {
    std::string name = parameter.key();  // layers.3.query.weight
    if (name.starts_with("layers.")) {
      const std::size_t part = name.find('.', 7) + 1, kind = name.rfind('.');
      name = "model." + name.substr(0, part) + parts.at(name.substr(part, kind - part)) +
             name.substr(kind);
    } else if (name == "head.weight") {
      name = file.contains("lm_head.weight") ? "lm_head.weight" : "model.embed_tokens.weight";
    } else {
      name = name == "embedding.weight" ? "model.embed_tokens.weight" : "model.norm.weight";
    }
    parameter.value().copy_(file.tensor(name));
  }
  return decoder;
}

}  // namespace custom
