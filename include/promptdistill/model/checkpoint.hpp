#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Loads a Hugging Face folder: every tensor named, checked and accounted for; weights stay in the
// mapped file.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "promptdistill/io/load_error.hpp"
#include "promptdistill/io/safetensors.hpp"
#include "promptdistill/model/causal_lm.hpp"
#include "promptdistill/model/model_config.hpp"

namespace promptdistill {

struct LoadOptions {
  std::optional<at::ScalarType> dtype;  // a floating one; none: as the checkpoint stores them
  at::Device device = at::kCPU;
};

namespace detail {

/// Hands out the tensors of one file by name and keeps count of what nobody asked for.
class TensorReader {
 public:
  TensorReader(const SafetensorsFile& file, std::filesystem::path path, const LoadOptions& options)
      : file_(file), path_(std::move(path)), options_(options) {
    for (const auto& [name, entry] : file.entries()) unread_.insert(name);
  }

  at::Tensor operator()(const std::string& name, const std::vector<std::int64_t>& shape) {
    if (!file_.contains(name)) throw LoadError(path_, "tensor " + name, "is missing");
    const auto& entry = file_.entries().at(name);
    if (entry.shape != shape)
      throw LoadError(path_, "tensor " + name,
                      "must have shape " + text(shape) + ", got " + text(entry.shape));
    at::Tensor tensor = file_.tensor(name);
    if (!at::isFloatingType(tensor.scalar_type()) || tensor.scalar_type() == at::kDouble) {
      throw LoadError(path_, "tensor " + name,
                      std::string("must be float32, float16 or bfloat16, got ") +
                          at::toString(tensor.scalar_type()));
    }
    if (dtype_ && tensor.scalar_type() != *dtype_) {
      throw LoadError(path_, "tensor " + name,
                      std::string("must have the dtype of the others, ") + at::toString(*dtype_) +
                          ", got " + at::toString(tensor.scalar_type()));
    }
    dtype_ = tensor.scalar_type();
    unread_.erase(name);
    return tensor.to(options_.device, options_.dtype.value_or(tensor.scalar_type()));
  }

  at::Tensor optional(bool wanted,
                      const std::string& name,
                      const std::vector<std::int64_t>& shape) {
    return wanted ? (*this)(name, shape) : at::Tensor();
  }
  void ignore(const std::string& name) { unread_.erase(name); }

  void check_all_read() const {
    if (unread_.empty()) return;
    throw LoadError(path_, "tensor " + *unread_.begin(),
                    "is not part of a model of this config (" + std::to_string(unread_.size()) +
                        " surplus tensors)");
  }

 private:
  static std::string text(const std::vector<std::int64_t>& shape) {
    std::string out = "[";
    for (std::size_t i = 0; i < shape.size(); ++i)
      out += (i ? ", " : "") + std::to_string(shape[i]);
    return out + "]";
  }

  const SafetensorsFile& file_;
  std::filesystem::path path_;
  LoadOptions options_;
  std::optional<at::ScalarType> dtype_;
  std::set<std::string> unread_;
};

inline DecoderLayer read_layer(TensorReader& read,
                               const std::string& prefix,
                               const ModelConfig& config) {
  const std::int64_t e = config.hidden_size, q = config.num_attention_heads * config.head_dim,
                     kv = config.num_key_value_heads * config.head_dim;
  const std::int64_t m = config.intermediate_size;
  const auto linear = [&](const std::string& name, std::int64_t out, std::int64_t in, bool bias) {
    return Linear{read(prefix + name + ".weight", {out, in}),
                  read.optional(bias, prefix + name + ".bias", {out})};
  };
  const bool bias = config.attention_bias, mlp_bias = config.mlp_bias;
  DecoderLayer layer;
  layer.input_layernorm = {read(prefix + "input_layernorm.weight", {e}), config.rms_norm_eps};
  layer.self_attn = {linear("self_attn.q_proj", q, e, bias),
                     linear("self_attn.k_proj", kv, e, bias),
                     linear("self_attn.v_proj", kv, e, bias),
                     linear("self_attn.o_proj", e, q, bias), config.head_dim};
  layer.post_attention_layernorm = {read(prefix + "post_attention_layernorm.weight", {e}),
                                    config.rms_norm_eps};
  layer.mlp = {linear("mlp.gate_proj", m, e, mlp_bias), linear("mlp.up_proj", m, e, mlp_bias),
               linear("mlp.down_proj", e, m, mlp_bias)};
  return layer;
}

}  // namespace detail

/// Loads `folder`/config.json and model.safetensors. Without a dtype or device to convert to, the
/// weights are views of the mapped file: nothing is copied. Throws LoadError naming file and tensor
/// or key.
inline CausalLm load_causal_lm(const std::filesystem::path& folder,
                               const LoadOptions& options = {}) {
  if (options.dtype) {
    TORCH_CHECK_VALUE(
        *options.dtype == at::kFloat || *options.dtype == at::kHalf ||
            *options.dtype == at::kBFloat16,
        "promptdistill: the dtype of a model must be float32, float16 or bfloat16, got ",
        at::toString(*options.dtype));
  }
  CausalLm lm;
  lm.config = ModelConfig::load(folder);
  const std::filesystem::path path = folder / "model.safetensors";
  const SafetensorsFile file = SafetensorsFile::open(path);
  detail::TensorReader read(file, path, options);
  const std::int64_t v = lm.config.vocab_size, e = lm.config.hidden_size;
  lm.model.embed_tokens = read("model.embed_tokens.weight", {v, e});
  for (std::int64_t l = 0; l < lm.config.num_hidden_layers; ++l) {
    const std::string prefix = "model.layers." + std::to_string(l) + ".";
    lm.model.layers.push_back(detail::read_layer(read, prefix, lm.config));
    read.ignore(
        prefix +
        "self_attn.rotary_emb.inv_freq");  // old exports store it; it follows from the config
  }
  lm.model.norm = {read("model.norm.weight", {e}), lm.config.rms_norm_eps};
  if (lm.config.tie_word_embeddings) {
    lm.lm_head = lm.model.embed_tokens;
    read.ignore("lm_head.weight");  // some exports repeat the tied tensor
  } else {
    lm.lm_head = read("lm_head.weight", {v, e});
  }
  read.check_all_read();
  lm.rope = Rope(lm.config, options.device);
  return lm;
}

/// 16 hexadecimal digits that tell one checkpoint from another: 64-bit FNV-1a over the numbers of
/// the config that change a result and the names, dtypes, shapes and a sample of the bytes of all
/// tensors. It reads at most 16 pages per tensor, not the file: a change of few bytes may escape
/// it, and it is no protection against intent.
inline std::string fingerprint(const std::filesystem::path& folder) {
  constexpr std::size_t kSamples = 16, kSampleBytes = 64;
  const SafetensorsFile file = SafetensorsFile::open(folder / "model.safetensors");
  const ModelConfig config = ModelConfig::load(folder);
  std::uint64_t hash = 14695981039346656037ULL;
  const auto add = [&hash](const void* data, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i)
      hash = (hash ^ static_cast<const unsigned char*>(data)[i]) * 1099511628211ULL;
  };
  for (const std::int64_t number :
       {config.num_attention_heads, config.num_key_value_heads, config.head_dim,
        static_cast<std::int64_t>(config.rope.type), config.rope.original_max_position_embeddings})
    add(&number, sizeof number);
  for (const double number : {config.rms_norm_eps, config.rope.theta, config.rope.factor,
                              config.rope.low_freq_factor, config.rope.high_freq_factor})
    add(&number, sizeof number);
  for (const auto& [name, entry] : file.entries()) {
    const at::Tensor tensor = file.tensor(name);
    const std::string head = name + at::toString(tensor.scalar_type());
    add(head.data(), head.size());
    for (const std::int64_t size : entry.shape) add(&size, sizeof size);
    const auto* bytes = static_cast<const std::byte*>(tensor.const_data_ptr());
    const std::size_t length = std::min(entry.size, kSampleBytes), last = entry.size - length;
    for (std::size_t i = 0; i < kSamples; ++i) add(bytes + last * i / (kSamples - 1), length);
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

}  // namespace promptdistill
