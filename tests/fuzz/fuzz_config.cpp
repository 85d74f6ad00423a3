// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>

#include "promptdistill/io/safetensors_folder.hpp"
#include "promptdistill/model.hpp"
#include "promptdistill/model/profile.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/io/files.hpp"

namespace promptdistill::test {
namespace {

NamedTensors weights() {  // of the seed `valid`
  const auto zeros = [](std::initializer_list<std::int64_t> shape) {
    return at::zeros(shape, at::kHalf);
  };
  const std::string layer = "model.layers.0.";
  return {{"model.embed_tokens.weight", zeros({6, 8})},
          {"model.norm.weight", zeros({8})},
          {layer + "input_layernorm.weight", zeros({8})},
          {layer + "post_attention_layernorm.weight", zeros({8})},
          {layer + "self_attn.q_proj.weight", zeros({8, 8})},
          {layer + "self_attn.k_proj.weight", zeros({4, 8})},
          {layer + "self_attn.v_proj.weight", zeros({4, 8})},
          {layer + "self_attn.o_proj.weight", zeros({8, 8})},
          {layer + "mlp.gate_proj.weight", zeros({4, 8})},
          {layer + "mlp.up_proj.weight", zeros({4, 8})},
          {layer + "mlp.down_proj.weight", zeros({8, 4})}};
}

/// The weights in one file.
struct Folder : TempDir {
  Folder() { write("model.safetensors", safetensors(weights())); }
};

/// The same in two shards "a" and "b", one tensor and the rest; no index.
struct ShardFolder : TempDir {
  ShardFolder() {
    const NamedTensors all = weights();
    write("a", safetensors(NamedTensors(all.begin(), all.begin() + 1)));
    write("b", safetensors(NamedTensors(all.begin() + 1, all.end())));
  }
};

void check(const ModelConfig& config) {
  require(config.hidden_size > 0 && config.vocab_size > 0 && config.num_hidden_layers > 0 &&
              config.head_dim > 0 && config.num_key_value_heads > 0,
          "sizes are positive");
  require(config.num_attention_heads % config.num_key_value_heads == 0, "KV heads divide heads");
}

}  // namespace

void fuzz_config(std::string_view input) {
  static const Folder folder;
  static const ShardFolder shards;
  const std::string bytes(input);
  folder.write("config.json", bytes);
  folder.write("generation_config.json", bytes);
  const auto& path = folder.path();
  loads(path, [&] { check(ModelConfig::load(path)); });
  loads(path, [&] { load_stop_ids(path); });
  loads(path, [&] { load_causal_lm(path); });
  loads(path, [&] { Profile::load(path / "config.json"); });
  shards.write("model.safetensors.index.json", bytes);
  loads(shards.path(), [&] {
    const auto folder = SafetensorsFolder::open(shards.path());
    require(folder.tensors().size() == weights().size(), "an index names each tensor");
  });
}

}  // namespace promptdistill::test
