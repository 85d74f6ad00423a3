#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The tiny golden checkpoints, random prompts for them, and a distill policy that needs no scores.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>
#include <numeric>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "promptdistill/model.hpp"
#include "tests/device.hpp"

namespace promptdistill::test {

using Ids = std::vector<std::int64_t>;

inline constexpr double kTiny = 2e-5;  // float32, two orders of the same sums

inline std::filesystem::path tiny_folder(const std::string& name) {
  return std::filesystem::path(PROMPTDISTILL_GOLDEN_DIR) / "method" / name;
}

/// A checkpoint of another family; llama's variants but the first lack weights of their own.
inline std::filesystem::path family_folder(const std::string& name) {
  return std::filesystem::path(PROMPTDISTILL_GOLDEN_DIR) / "families" / name;
}

/// Puts the config and the weights of one together in `folder`.
inline void assemble_family(const std::string& name, const std::filesystem::path& folder) {
  std::ifstream file(family_folder(name).string() + ".json");
  const auto weights = nlohmann::json::parse(file).at("weights").get<std::string>();
  for (const std::string& from : {weights, name}) {
    for (const auto& entry : std::filesystem::directory_iterator(family_folder(from)))
      std::filesystem::copy(entry.path(), folder / entry.path().filename(),
                            std::filesystem::copy_options::overwrite_existing);
  }
}

inline CausalLm tiny(const std::string& name, std::optional<at::ScalarType> dtype = {}) {
  at::set_num_threads(1);  // so small that threads only wait for each other
  LoadOptions options;
  options.dtype = dtype;
  options.device = test_device();
  return load_causal_lm(tiny_folder(name), options);
}

inline Ids random_ids(std::mt19937_64& random, std::int64_t count, std::int64_t vocabulary) {
  Ids ids;
  for (std::int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(vocabulary)));
  return ids;
}

inline at::Tensor tensor_of(const Ids& ids) { return at::tensor(ids, at::kLong).to(test_device()); }

inline Ids range(std::int64_t begin, std::int64_t end) {
  Ids ids(static_cast<std::size_t>(std::max<std::int64_t>(end - begin, 0)));
  std::iota(ids.begin(), ids.end(), begin);
  return ids;
}

inline Ids ids_of(const at::Tensor& tensor) {
  const at::Tensor host = tensor.to(at::kCPU).contiguous();
  return {host.const_data_ptr<std::int64_t>(), host.const_data_ptr<std::int64_t>() + host.numel()};
}

/// The largest difference, as a part of the largest number where that is above 1 (in float32 the
/// tiny models' caches, numbers up to 12, are themselves 5e-5 from float64's); infinity where
/// shapes differ or a number is NaN.
inline double apart(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) return INFINITY;
  if (a.numel() == 0) return 0;
  const at::Tensor wide = b.to(at::kCPU, at::kDouble);
  const double worst = a.to(at::kCPU, at::kDouble).sub(wide).abs().max().item<double>();
  return std::isnan(worst) ? INFINITY : worst / std::max(1.0, wide.abs().max().item<double>());
}

/// Runs one prompt and returns its logits [V].
template <class Policy = NoDistill, class Eviction = KeepCache>
at::Tensor prefill_one(const CausalLm& lm,
                       const Ids& ids,
                       KvCache& cache,
                       const Policy& policy = {},
                       const PrefillOptions& options = {},
                       Eviction&& eviction = {}) {
  const auto count = static_cast<std::int64_t>(ids.size());
  return lm.logits(
      lm.prefill(tensor_of(ids), {count}, cache, policy, options, eviction).last_hidden)[0];
}

template <class Eviction = KeepCache>
at::Tensor append_one(const CausalLm& lm,
                      const Ids& ids,
                      KvCache& cache,
                      Eviction&& eviction = {}) {
  const auto count = static_cast<std::int64_t>(ids.size());
  return lm.logits(lm.append(tensor_of(ids), {count}, cache, eviction))[0];
}

inline PrefillOptions placed(Placement placement) {
  PrefillOptions options;
  options.placement = placement;
  return options;
}

/// The largest difference of two caches of a layer; infinity where rows or positions differ.
inline double apart(const LayerCache& a, const LayerCache& b) {
  if (a.rows() != b.rows() || !at::equal(a.positions(), b.positions())) return INFINITY;
  return std::max(apart(a.keys(), b.keys()), apart(a.values(), b.values()));
}

/// The same of row `a_row` of a batch and row `b_row` of another.
inline double apart(const KvCache& a, std::int64_t a_row, const KvCache& b, std::int64_t b_row) {
  if (a.next_position(a_row) != b.next_position(b_row)) return INFINITY;
  double worst = 0;
  for (std::int64_t l = 0; l < a.layers(); ++l)
    worst = std::max(worst, apart(a.at(a_row, l), b.at(b_row, l)));
  return worst;
}

/// Inverse frequencies in double, from the formula.
inline std::vector<double> naive_frequencies(const ModelConfig& config) {
  const RopeConfig& rope = config.rope;
  std::vector<double> out;
  for (std::int64_t i = 0; i < config.head_dim / 2; ++i) {
    const double plain =
        std::pow(rope.theta, -2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim));
    if (rope.type == RopeConfig::Type::kDefault) {
      out.push_back(plain);
      continue;
    }
    const double turns = static_cast<double>(rope.original_max_position_embeddings) * plain /
                         (2 * std::numbers::pi);  // in the original context
    if (turns < rope.low_freq_factor) {
      out.push_back(plain / rope.factor);
    } else if (turns > rope.high_freq_factor) {
      out.push_back(plain);
    } else {
      const double share =
          (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
      out.push_back((1 - share) * plain / rope.factor + share * plain);
    }
  }
  return out;
}

/// Keeps every `step`-th live token and the last one at the layers it names.
struct EveryNth {
  std::set<std::int64_t> layers;
  std::set<std::int64_t> truncated;
  std::int64_t step = 3;

  void check(std::int64_t, std::int64_t) const {}
  bool selects_at(std::int64_t layer) const { return layers.contains(layer); }
  bool truncates_at(std::int64_t layer) const { return truncated.contains(layer); }
  std::int64_t window(std::int64_t) const { return 1; }
  Selection select(const LayerProbe& probe) const {
    return {tensor_of(kept(range(0, probe.tokens()))), {}};
  }
  /// The same choice on a list of live positions.
  Ids kept(const Ids& live) const {
    Ids out;
    for (std::size_t i = 0; i < live.size(); ++i) {
      if (i % static_cast<std::size_t>(step) == 0 || i + 1 == live.size()) out.push_back(live[i]);
    }
    return out;
  }
};
static_assert(DistillPolicy<EveryNth>);

}  // namespace promptdistill::test
