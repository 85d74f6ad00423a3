#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Loads a Hugging Face folder: every tensor named, checked and accounted for; weights stay in the
// mapped files.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "promptdistill/io/load_error.hpp"
#include "promptdistill/io/safetensors.hpp"
#include "promptdistill/io/safetensors_folder.hpp"
#include "promptdistill/model/causal_lm.hpp"
#include "promptdistill/model/family.hpp"
#include "promptdistill/model/model_config.hpp"

namespace promptdistill {

/// How far loading is: bytes of the checkpoint's tensors that were mapped, converted or copied.
struct LoadProgress {
  std::size_t bytes;
  std::size_t total;
};

struct LoadOptions {
  std::optional<at::ScalarType> dtype;  // a floating one; none: as the checkpoint stores them
  at::Device device = at::kCPU;
  std::vector<Family> families = known_families();
  /// Called after every tensor; may throw to stop.
  std::function<void(const LoadProgress&)> progress;
};

namespace detail {

/// Hands out a checkpoint's tensors by our names and keeps count of what nobody asked for.
class TensorReader {
 public:
  TensorReader(const SafetensorsFolder& folder,
               const ModelConfig& config,
               const LoadOptions& options)
      : folder_(folder), names_(config.names), options_(options), total_(folder.bytes()) {
    for (const auto& [name, file] : folder.tensors()) unread_.insert(name);
  }

  at::Tensor operator()(const std::string& ours, const std::vector<std::int64_t>& shape) {
    const std::string name = their_name(ours);
    const SafetensorsFile& file = folder_.file_of(name);
    const auto& entry = file.entries().at(name);
    const auto fail = [&](const std::string& problem) {
      throw LoadError(file.path(), "tensor " + name, problem);
    };
    if (entry.shape != shape) fail("must have shape " + text(shape) + ", got " + text(entry.shape));
    if (!at::isFloatingType(entry.dtype) || entry.dtype == at::kDouble)
      fail(std::string("must be float32, float16 or bfloat16, got ") + at::toString(entry.dtype));
    if (!options_.dtype && dtype_ && entry.dtype != *dtype_)
      fail(std::string("must have the dtype of the others, ") + at::toString(*dtype_) + ", got " +
           at::toString(entry.dtype) + "; ask for one dtype to convert to (--dtype)");
    dtype_ = entry.dtype;
    unread_.erase(name);
    const at::Tensor stored = file.tensor(name);
    at::Tensor tensor = stored.to(options_.device, options_.dtype.value_or(entry.dtype));
    if (!tensor.is_same(stored)) file.release(name);  // never two copies of a large checkpoint
    bytes_ += entry.size;
    if (options_.progress) options_.progress({bytes_, total_});
    return tensor;
  }

  at::Tensor optional(bool wanted,
                      const std::string& name,
                      const std::vector<std::int64_t>& shape) {
    return wanted ? (*this)(name, shape) : at::Tensor();
  }
  void ignore(const std::string& ours) { unread_.erase(their_name(ours)); }

  void check_all_read() const {
    if (unread_.empty()) return;
    throw LoadError(folder_.file_of(*unread_.begin()).path(), "tensor " + *unread_.begin(),
                    "is not part of a model of this config (" + std::to_string(unread_.size()) +
                        " surplus tensors)");
  }

 private:
  std::string their_name(std::string name) const {
    for (const auto& [ours, theirs] : names_) {
      const std::size_t at = name.find(ours);
      if (at != std::string::npos) name.replace(at, ours.size(), theirs);
    }
    return name;
  }

  static std::string text(const std::vector<std::int64_t>& shape) {
    std::string out = "[";
    for (std::size_t i = 0; i < shape.size(); ++i)
      out += (i ? ", " : "") + std::to_string(shape[i]);
    return out + "]";
  }

  const SafetensorsFolder& folder_;
  std::vector<std::pair<std::string, std::string>> names_;
  const LoadOptions& options_;
  std::optional<at::ScalarType> dtype_;
  std::set<std::string> unread_;
  std::size_t bytes_ = 0, total_;
};

/// The projections of one fused tensor, one below the other: views, so nothing is copied.
inline std::vector<Linear> read_fused(TensorReader& read,
                                      const std::string& name,
                                      const std::vector<std::int64_t>& outs,
                                      std::int64_t in,
                                      bool bias) {
  const std::int64_t out = std::accumulate(outs.begin(), outs.end(), std::int64_t{0});
  const at::Tensor weight = read(name + ".weight", {out, in}),
                   offset = read.optional(bias, name + ".bias", {out});
  std::vector<Linear> parts;
  std::int64_t start = 0;
  for (const std::int64_t rows : outs) {
    parts.push_back(
        {weight.narrow(0, start, rows), bias ? offset.narrow(0, start, rows) : at::Tensor()});
    start += rows;
  }
  return parts;
}

inline DecoderLayer read_layer(TensorReader& read, std::int64_t index, const ModelConfig& config) {
  const std::string prefix = "model.layers." + std::to_string(index) + ".";
  const std::int64_t e = config.hidden_size, d = config.head_dim,
                     q = config.num_attention_heads * d, kv = config.num_key_value_heads * d,
                     m = config.intermediate_size;
  const auto linear = [&](const std::string& name, std::int64_t out, std::int64_t in, bool bias) {
    return Linear{read(prefix + name + ".weight", {out, in}),
                  read.optional(bias, prefix + name + ".bias", {out})};
  };
  const auto norm = [&](const std::string& name, std::int64_t size) {
    return RmsNorm{read(prefix + name + ".weight", {size}), config.rms_norm_eps};
  };
  DecoderLayer layer;
  layer.input_layernorm = norm("input_layernorm", e);
  Attention& attention = layer.self_attn;
  if (config.fused_projections) {
    auto parts = read_fused(read, prefix + "self_attn.qkv_proj", {q, kv, kv}, e, config.qkv_bias);
    attention.q_proj = std::move(parts[0]);
    attention.k_proj = std::move(parts[1]);
    attention.v_proj = std::move(parts[2]);
  } else {
    attention.q_proj = linear("self_attn.q_proj", q, e, config.qkv_bias);
    attention.k_proj = linear("self_attn.k_proj", kv, e, config.qkv_bias);
    attention.v_proj = linear("self_attn.v_proj", kv, e, config.qkv_bias);
  }
  attention.o_proj = linear("self_attn.o_proj", e, q, config.o_bias);
  if (config.qk_norm) {
    attention.q_norm = norm("self_attn.q_norm", d);
    attention.k_norm = norm("self_attn.k_norm", d);
  }
  attention.head_dim = d;
  attention.sliding_window = config.window_of(index);
  read.ignore(prefix + "self_attn.rotary_emb.inv_freq");  // in old exports; the config says it
  layer.post_attention_layernorm = norm("post_attention_layernorm", e);
  if (config.fused_projections) {
    auto parts = read_fused(read, prefix + "mlp.gate_up_proj", {m, m}, e, config.mlp_bias);
    layer.mlp.gate_proj = std::move(parts[0]);
    layer.mlp.up_proj = std::move(parts[1]);
  } else {
    layer.mlp.gate_proj = linear("mlp.gate_proj", m, e, config.mlp_bias);
    layer.mlp.up_proj = linear("mlp.up_proj", m, e, config.mlp_bias);
  }
  layer.mlp.down_proj = linear("mlp.down_proj", e, m, config.mlp_bias);
  return layer;
}

}  // namespace detail

/// Loads `folder`/config.json and its safetensors, one file or shards. Without a dtype or device to
/// convert to, the weights are views of the mapped files: nothing is copied. Throws LoadError
/// naming file and tensor or key.
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
  lm.config = ModelConfig::load(folder, options.families);
  const SafetensorsFolder files = SafetensorsFolder::open(folder);
  detail::TensorReader read(files, lm.config, options);
  const std::int64_t v = lm.config.vocab_size, e = lm.config.hidden_size;
  lm.model.embed_tokens = read("model.embed_tokens.weight", {v, e});
  for (std::int64_t l = 0; l < lm.config.num_hidden_layers; ++l)
    lm.model.layers.push_back(detail::read_layer(read, l, lm.config));
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
inline std::string fingerprint(const std::filesystem::path& folder,
                               const std::vector<Family>& families = known_families()) {
  constexpr std::size_t kSamples = 16, kSampleBytes = 64;
  const SafetensorsFolder files = SafetensorsFolder::open(folder);
  const ModelConfig config = ModelConfig::load(folder, families);
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
  // What only some families have; a plain LLaMA adds nothing here.
  for (const std::vector<double>* factors : {&config.rope.short_factor, &config.rope.long_factor})
    for (const double number : *factors) add(&number, sizeof number);
  for (std::int64_t l = 0; l < config.num_hidden_layers; ++l)
    if (const auto window = config.window_of(l)) add(&*window, sizeof *window);
  if (config.rope.rotary_dim != config.head_dim)
    add(&config.rope.rotary_dim, sizeof config.rope.rotary_dim);
  if (config.rope.attention_factor != 1)
    add(&config.rope.attention_factor, sizeof config.rope.attention_factor);
  for (const auto& [name, file] : files.tensors()) {
    const at::Tensor tensor = file->tensor(name);
    const auto& entry = file->entries().at(name);
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
