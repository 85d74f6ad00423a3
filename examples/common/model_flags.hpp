#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The command line's settings of how a model runs: dtype, device and threads.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "examples/common/program.hpp"
#include "examples/common/progress.hpp"
#include "promptdistill/io/safetensors_folder.hpp"
#include "promptdistill/model/checkpoint.hpp"

namespace promptdistill::examples {

inline std::string dtype_name(at::ScalarType dtype) {
  return dtype == at::kFloat      ? "float32"
         : dtype == at::kBFloat16 ? "bfloat16"
         : dtype == at::kHalf     ? "float16"
                                  : at::toString(dtype);
}

/// What a model folder is called, also where it is given as "." or with a slash at its end.
inline std::string folder_name(const std::filesystem::path& folder) {
  const std::filesystem::path path = std::filesystem::absolute(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

/// A floating dtype that models can have, by the name that config.json and --dtype give it.
inline std::optional<at::ScalarType> dtype_of(const std::string& name) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    if (dtype_name(dtype) == name) return dtype;
  }
  return std::nullopt;
}

/// Whether a product in this dtype takes at most twice a float32 product's time here: what a
/// machine does fast is measured, not looked up. The two alternate, and the best of many is what
/// the machine can do while other work disturbs it. A few milliseconds.
inline bool is_fast(at::ScalarType dtype) {
  const auto timed = [](at::ScalarType of) {
    return [x = at::ones({256, 1024}, of), weight = at::ones({1024, 1024}, of)] {
      const auto start = std::chrono::steady_clock::now();
      at::linear(x, weight);
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
  };
  const auto run = timed(dtype), run_float = timed(at::kFloat);
  double best = INFINITY, best_float = INFINITY;  // seconds
  for (int i = 0; i < 12; ++i) {
    best = std::min(best, run());
    best_float = std::min(best_float, run_float());
  }
  return best <= 2 * best_float;
}

/// The dtype of --dtype auto for weights that are stored in `stored`: the same where the device is
/// fast in it, so that the mapped file serves as it is; on a CPU that is not, bfloat16 for float16
/// where that is fast, or float32.
inline at::ScalarType auto_dtype(at::ScalarType stored,
                                 at::Device device,
                                 const std::function<bool(at::ScalarType)>& fast = is_fast) {
  if (!device.is_cpu() || stored == at::kFloat || fast(stored)) return stored;
  return stored == at::kHalf && fast(at::kBFloat16) ? at::kBFloat16 : at::kFloat;
}

/// The same for a checkpoint, by its first tensor; empty where it has none.
inline std::optional<at::ScalarType> auto_dtype(const std::filesystem::path& folder,
                                                at::Device device) {
  const SafetensorsFolder files = SafetensorsFolder::open(folder);
  if (files.tensors().empty()) return std::nullopt;
  const auto& [name, file] = *files.tensors().begin();
  return auto_dtype(file->tensor(name).scalar_type(), device);
}

/// --prefill-chunk, where a program runs prompts.
inline void add_prefill_chunk(CLI::App& app, std::optional<std::int64_t>& chunk) {
  app.add_option("--prefill-chunk", chunk,
                 "run so many tokens of the prompt through the layers at a time: memory beside the "
                 "cache is bounded by them (default: all at once)")
      ->check(at_least(1))
      ->group("Running");
}

struct ModelFlags {
  std::string dtype = "auto";
  std::string device = "cpu";
  int threads = 0;

  void add_to(CLI::App& app) {
    const char* group = "Running";
    app.add_option("--dtype", dtype,
                   "auto keeps the checkpoint's, and with it the mapped file, where the machine is "
                   "fast in it")
        ->check(CLI::IsMember({"auto", "float32", "bfloat16", "float16"}))
        ->capture_default_str()
        ->group(group);
    app.add_option("--device", device, "cpu, cuda, cuda:1, ...")
        ->capture_default_str()
        ->group(group);
    app.add_option("--threads", threads, "threads of one operation (default: LibTorch's choice)")
        ->check(CLI::Range(1, 1024))
        ->group(group);
  }

  /// The device to run on, after the number of threads has been set. Throws UsageError where it is
  /// none that this LibTorch has.
  at::Device target() const {
    if (threads > 0) at::set_num_threads(threads);
    const std::optional<at::Device> chosen = [&]() -> std::optional<at::Device> {
      try {
        return at::Device(device);
      } catch (const c10::Error&) {
        return std::nullopt;
      }
    }();
    if (!chosen || (!chosen->is_cuda() && !chosen->is_cpu()))
      throw UsageError("--device must be cpu, cuda or cuda:N, got " + device);
    if (chosen->is_cuda() && !at::hasCUDA())
      throw UsageError("--device " + device + ": this LibTorch has no CUDA or finds no device");
    return *chosen;
  }

  CausalLm load(const std::filesystem::path& folder) const {
    LoadOptions options;
    options.device = target();
    options.dtype = dtype == "auto" ? auto_dtype(folder, options.device) : dtype_of(dtype);
    ProgressLine line;
    options.progress = [&line](const LoadProgress& at) {
      const auto gigabytes = [](std::size_t bytes) { return static_cast<double>(bytes) / 1e9; };
      line.show(fmt::format("loading: {:.1f} of {:.1f} GB, {:.0f} s", gigabytes(at.bytes),
                            gigabytes(at.total), line.seconds()));
    };
    return load_causal_lm(folder, options);
  }
};

/// The bytes of the weights a model holds, each storage once.
inline std::size_t weight_bytes(const CausalLm& lm) {
  std::size_t total = lm.model.embed_tokens.nbytes() + lm.model.norm.weight.nbytes() +
                      (lm.lm_head.is_same(lm.model.embed_tokens) ? 0 : lm.lm_head.nbytes());
  const auto add = [&](const at::Tensor& tensor) {
    total += tensor.defined() ? tensor.nbytes() : 0;
  };
  for (const DecoderLayer& layer : lm.model.layers) {
    for (const RmsNorm* norm : {&layer.input_layernorm, &layer.post_attention_layernorm})
      add(norm->weight);
    for (const Linear* linear : {&layer.self_attn.q_proj, &layer.self_attn.k_proj,
                                 &layer.self_attn.v_proj, &layer.self_attn.o_proj,
                                 &layer.mlp.gate_proj, &layer.mlp.up_proj, &layer.mlp.down_proj}) {
      add(linear->weight);
      add(linear->bias);
    }
    for (const auto* norm : {&layer.self_attn.q_norm, &layer.self_attn.k_norm})
      if (*norm) add((*norm)->weight);
  }
  return total;
}

}  // namespace promptdistill::examples
