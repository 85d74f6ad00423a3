#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A decoder as users of LibTorch write them: its own modules, [B, T, E] tensors, a cache of plain
// tensors. The lines that are marked make its long prompts cheap; without them it is an ordinary
// model.

#include <ATen/ATen.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "promptdistill/promptdistill.hpp"

namespace custom {

struct Config {
  std::int64_t vocab, hidden, inner, layers, heads, kv_heads, head_size;
  double rope_theta, norm_eps;
  bool attention_bias, mlp_bias;
};

/// Keys and values of every layer.
class Cache {
 public:
  explicit Cache(std::int64_t layers) : keys_(layers), values_(layers) {}

  bool empty(std::int64_t l) const { return !keys_[l].defined(); }
  const at::Tensor& keys(std::int64_t l) const { return keys_[l]; }      // [B, G, T, D]
  const at::Tensor& values(std::int64_t l) const { return values_[l]; }  // [B, G, T, D]

  void append(std::int64_t l, const at::Tensor& k, const at::Tensor& v) {
    const bool first = empty(l);
    keys_[l] = first ? k : at::cat({keys_[l], k}, 2);
    values_[l] = first ? v : at::cat({values_[l], v}, 2);
  }
  void keep(std::int64_t l, const promptdistill::Retention& kept, const at::Tensor&) {  // added
    keys_[l] = kept.gather(keys_[l], 2);                                                // added
    values_[l] = kept.gather(values_[l], 2);                                            // added
  }                                                                                     // added

 private:
  std::vector<at::Tensor> keys_, values_;
};

struct Norm : torch::nn::Module {
  Norm(std::int64_t size, double eps) : eps(eps) {
    weight = register_parameter("weight", at::ones({size}));
  }
  at::Tensor forward(const at::Tensor& x) {
    return x * at::rsqrt(x.square().mean(-1, true) + eps) * weight;
  }
  at::Tensor weight;
  double eps;
};

inline at::Tensor rotate(const at::Tensor& x,
                         const at::Tensor& positions,
                         double theta) {  // x [B, heads, T, D], positions [B, T]
  const std::int64_t half = x.size(-1) / 2;
  const at::Tensor frequencies =
      at::pow(theta, at::arange(half, at::kFloat).div(-static_cast<double>(half)));
  const at::Tensor angles =
      (positions.to(at::kFloat).unsqueeze(-1) * frequencies).unsqueeze(1);  // [B, 1, T, D/2]
  const at::Tensor a = x.narrow(-1, 0, half), b = x.narrow(-1, half, half);
  return at::cat({a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()}, -1);
}

struct Layer : torch::nn::Module {
  explicit Layer(const Config& c) : config(c) {
    const auto linear = [&](const char* name, std::int64_t in, std::int64_t out, bool bias) {
      return register_module(name, torch::nn::Linear(torch::nn::LinearOptions(in, out).bias(bias)));
    };
    input_norm = register_module("input_norm", std::make_shared<Norm>(c.hidden, c.norm_eps));
    query = linear("query", c.hidden, c.heads * c.head_size, c.attention_bias);
    key = linear("key", c.hidden, c.kv_heads * c.head_size, c.attention_bias);
    value = linear("value", c.hidden, c.kv_heads * c.head_size, c.attention_bias);
    output = linear("output", c.heads * c.head_size, c.hidden, c.attention_bias);
    inner_norm = register_module("inner_norm", std::make_shared<Norm>(c.hidden, c.norm_eps));
    gate = linear("gate", c.hidden, c.inner, c.mlp_bias);
    up = linear("up", c.hidden, c.inner, c.mlp_bias);
    down = linear("down", c.inner, c.hidden, c.mlp_bias);
  }

  /// x [B, T, E] at `positions` [B, T]; appends to the cache of layer l. Also returns the queries
  /// after RoPE, [B, H, T, D].
  template <class AnyCache>
  std::pair<at::Tensor, at::Tensor> forward(const at::Tensor& x,
                                            const at::Tensor& positions,
                                            std::int64_t l,
                                            AnyCache& cache) {
    const auto split = [&](const at::Tensor& t) {
      return t.view({t.size(0), t.size(1), -1, config.head_size}).transpose(1, 2);
    };
    const at::Tensor normed = input_norm->forward(x);
    const at::Tensor q = rotate(split(query(normed)), positions, config.rope_theta);
    const at::Tensor k = rotate(split(key(normed)), positions, config.rope_theta),
                     v = split(value(normed));
    const bool prompt = cache.empty(l);
    cache.append(l, k, v);
    const at::Tensor mixed = at::scaled_dot_product_attention(
        q, cache.keys(l), cache.values(l), {}, 0.0, /*is_causal=*/prompt, {}, /*enable_gqa=*/true);
    const at::Tensor h = x + output(mixed.transpose(1, 2).flatten(2));
    const at::Tensor inner = inner_norm->forward(h);
    return {h + down(at::silu(gate(inner)) * up(inner)), q};
  }

  Config config;
  std::shared_ptr<Norm> input_norm, inner_norm;
  torch::nn::Linear query{nullptr}, key{nullptr}, value{nullptr}, output{nullptr}, gate{nullptr},
      up{nullptr}, down{nullptr};
};

struct Decoder : torch::nn::Module {
  explicit Decoder(const Config& c) : config(c) {
    embedding = register_module("embedding", torch::nn::Embedding(c.vocab, c.hidden));
    register_module("layers", layers);
    for (std::int64_t l = 0; l < c.layers; ++l) layers->push_back(std::make_shared<Layer>(c));
    norm = register_module("norm", std::make_shared<Norm>(c.hidden, c.norm_eps));
    head = register_module(
        "head", torch::nn::Linear(torch::nn::LinearOptions(c.hidden, c.vocab).bias(false)));
  }

  /// ids [B, T] at `positions` [B, T] -> logits of the last token [B, V].
  template <class AnyCache, class Policy = promptdistill::NoDistill>
  at::Tensor forward(const at::Tensor& ids,
                     at::Tensor positions,
                     AnyCache& cache,
                     const Policy& policy = {}) {
    at::Tensor x = embedding(ids);
    for (std::int64_t l = 0; l < config.layers; ++l) {
      auto [hidden, queries] = layers[l]->template as<Layer>()->forward(x, positions, l, cache);
      x = hidden;
      if (auto kept =
              promptdistill::select(policy, l, queries, cache.keys(l), positions)) {  // added
        promptdistill::truncate(policy, l, *kept, positions, cache);                  // added
        x = kept->gather(x, 1);                                                       // added
        positions = kept->gather(positions, 1);                                       // added
      }
    }
    return head(norm->forward(x.select(1, x.size(1) - 1)));
  }

  Config config;
  torch::nn::Embedding embedding{nullptr};
  torch::nn::ModuleList layers;
  std::shared_ptr<Norm> norm;
  torch::nn::Linear head{nullptr};
};

}  // namespace custom
