#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What sets one family of models apart from LLaMA, as data: all families share one forward pass.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace promptdistill {

/// The facts of a model_type that its config.json does not state.
struct Family {
  /// Which layers attend within config.json's sliding_window alone.
  enum class Sliding {
    kNone,
    kAll,
    kUpper,  // where use_sliding_window is true: those from max_window_layers on
  };

  std::string model_type = {};
  /// Biases of the projections of Q, K and V, of attention's output, and of the MLP; where nothing
  /// is said here, attention_bias (for both of attention's) and mlp_bias of config.json say it.
  std::optional<bool> qkv_bias = {}, o_bias = {}, mlp_bias = {};
  bool qk_norm = false;            // an RMS norm of every head's query and key, before RoPE
  bool fused_projections = false;  // qkv_proj and gate_up_proj in one tensor each
  bool partial_rotary = false;     // honours partial_rotary_factor
  Sliding sliding = Sliding::kNone;
  std::optional<std::int64_t> default_sliding_window = {};  // where config.json lacks the key
  double default_rms_norm_eps = 1e-6;
  /// What the checkpoint calls parts of tensors' names, as {"self_attn.", "attention."}: ours,
  /// theirs.
  std::vector<std::pair<std::string, std::string>> names = {};
};

/// The families that load without further words. A further one is an element more; see README.
inline std::vector<Family> known_families() {
  using Sliding = Family::Sliding;
  return {
      {.model_type = "llama"},
      {.model_type = "mistral",
       .qkv_bias = false,
       .o_bias = false,
       .mlp_bias = false,
       .sliding = Sliding::kAll,
       .default_sliding_window = 4096},
      {.model_type = "phi3",
       .qkv_bias = false,
       .o_bias = false,
       .mlp_bias = false,
       .fused_projections = true,
       .partial_rotary = true,
       .sliding = Sliding::kAll,
       .default_rms_norm_eps = 1e-5},
      {.model_type = "qwen2",
       .qkv_bias = true,
       .o_bias = false,
       .mlp_bias = false,
       .sliding = Sliding::kUpper,
       .default_sliding_window = 4096},
      {.model_type = "qwen3",
       .mlp_bias = false,
       .qk_norm = true,
       .sliding = Sliding::kUpper,
       .default_sliding_window = 4096},
  };
}

}  // namespace promptdistill
