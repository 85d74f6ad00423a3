#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The sizes that a config implies, without weights: parameters, a token's elements and its FLOPs.

#include <c10/util/Exception.h>

#include <compare>
#include <cstdint>
#include <vector>

#include "promptdistill/model/model_config.hpp"

namespace promptdistill {

namespace detail {

/// A whole number whose sums and products throw c10::ValueError where they exceed 64 bits.
class Checked {
 public:
  Checked(std::int64_t value = 0) : value_(value) {}  // NOLINT: plain numbers mix with it

  std::int64_t value() const { return value_; }
  double real() const { return static_cast<double>(value_); }

  friend Checked operator+(Checked a, Checked b) {
    Checked sum;
    check(!__builtin_add_overflow(a.value_, b.value_, &sum.value_));
    return sum;
  }
  friend Checked operator*(Checked a, Checked b) {
    Checked product;
    check(!__builtin_mul_overflow(a.value_, b.value_, &product.value_));
    return product;
  }
  Checked& operator+=(Checked other) { return *this = *this + other; }
  friend auto operator<=>(Checked, Checked) = default;

 private:
  static void check(bool fits) {
    TORCH_CHECK_VALUE(
        fits, "promptdistill: sizes must stay below 2^63; this model or request needs more");
  }

  std::int64_t value_;
};

}  // namespace detail

/// What plans take from a config, all of it. FLOPs count a multiplication and an addition as two.
struct ModelSizes {
  using Number = detail::Checked;

  std::int64_t layers, heads, kv_heads;
  Number hidden, queries, keys, mlp, angles, vocabulary;  // elements of one token
  bool tied;
  std::vector<std::int64_t> windows;  // [L] sliding ones, 0 where a layer sees everything
  Number parameters;

  /// Throws c10::ValueError where a number exceeds 64 bits.
  explicit ModelSizes(const ModelConfig& config)
      : layers(config.num_hidden_layers),
        heads(config.num_attention_heads),
        kv_heads(config.num_key_value_heads),
        hidden(config.hidden_size),
        queries(Number(heads) * config.head_dim),
        keys(Number(kv_heads) * config.head_dim),
        mlp(config.intermediate_size),
        angles(config.rope.rotary_dim),
        vocabulary(config.vocab_size),
        tied(config.tie_word_embeddings) {
    const Number norms = 2 * hidden;
    Number layer = 2 * hidden * (queries + keys) + 3 * hidden * mlp + norms;
    if (config.qkv_bias) layer += queries + 2 * keys;
    if (config.o_bias) layer += hidden;
    if (config.qk_norm) layer += 2 * Number(config.head_dim);
    if (config.mlp_bias) layer += 2 * mlp + hidden;
    for (std::int64_t l = 0; l < layers; ++l) windows.push_back(config.window_of(l).value_or(0));
    parameters = layers * layer + hidden + vocabulary * hidden * (tied ? 1 : 2);
  }

  /// Of a token in one layer: projecting its query and attention's output; key and value; the MLP.
  double query_flops() const { return 4 * hidden.real() * queries.real(); }
  double key_flops() const { return 4 * hidden.real() * keys.real(); }
  double mlp_flops() const { return 6 * hidden.real() * mlp.real(); }
  /// Of a query and a key that it sees: their product and the value's share; the product alone.
  double attention_flops() const { return 4 * queries.real(); }
  double score_flops() const { return 2 * queries.real(); }
  double lm_head_flops() const { return 2 * hidden.real() * vocabulary.real(); }
};

inline std::int64_t parameter_count(const ModelConfig& config) {
  return ModelSizes(config).parameters.value();
}

}  // namespace promptdistill
