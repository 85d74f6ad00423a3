#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The command line's settings of what is measured on: a checkpoint or random weights, and the
// prompts.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "examples/bench/random_model.hpp"
#include "examples/common/ids.hpp"
#include "examples/common/model_flags.hpp"
#include "examples/common/program.hpp"
#include "promptdistill/io/read_json.hpp"
#include "promptdistill/model/checkpoint.hpp"
#include "promptdistill/model/model_config.hpp"

namespace promptdistill::examples {

struct BenchModelFlags {
  std::filesystem::path model_dir;
  std::optional<std::string> random, ids_file;
  std::optional<std::int64_t> layers;
  std::uint64_t seed = 1;
  ModelFlags running;

  void add_to(CLI::App& app) {
    app.add_option("model_dir", model_dir, "a Hugging Face folder; only its weights are needed")
        ->option_text("MODEL_DIR");
    const char* group = "Model and prompt";
    std::string shapes = "random weights instead of a folder:";
    for (const RandomShape& shape : kRandomShapes)
      shapes += fmt::format(" {} ({});", shape.name, shape.what);
    shapes.pop_back();
    app.add_option("--random", random, shapes)->group(group);
    app.add_option("--layers", layers, "of --random: so many layers instead")
        ->check(CLI::Range(1, 4096))
        ->group(group);
    app.add_option("--seed", seed, "of random weights and of the prompt's random tokens")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str()
        ->group(group);
    app.add_option("--ids-file", ids_file,
                   "a JSON array of token ids: prompts are its beginnings (default: random tokens)")
        ->group(group);
    running.add_to(app);
  }

  void check() const {
    if (model_dir.empty() == !random) throw UsageError("give MODEL_DIR or --random, one of them");
    if (layers && !random) throw UsageError("--layers needs --random");
    if (random) random_shape(*random);
  }

  ModelConfig config() const {
    return random ? random_config(random_shape(*random), layers) : ModelConfig::load(model_dir);
  }

  CausalLm load() const {
    if (!random) return running.load(model_dir);
    const RandomShape& shape = random_shape(*random);
    const at::Device device = running.target();
    const auto dtype = dtype_of(running.dtype);
    return random_model(config(), dtype ? *dtype : auto_dtype(random_dtype(shape), device), device,
                        seed);
  }

  /// What tells this model from another one.
  nlohmann::json identity() const {
    if (!random) return {{"folder", model_dir.string()}, {"fingerprint", fingerprint(model_dir)}};
    const RandomShape& shape = random_shape(*random);
    return {{"random", *random},
            {"what", shape.what},
            {"config", random_config_json(shape, layers)},
            {"seed", seed}};
  }

  std::string name() const {
    if (random) return fmt::format("{}, random weights", *random);
    return folder_name(model_dir);
  }

  /// The first `length` of the prompt's tokens; shorter prompts begin longer ones.
  std::vector<std::int64_t> prompt(std::int64_t length, std::int64_t vocabulary) const {
    std::vector<std::int64_t> ids;
    if (ids_file) {
      ids = read_ids(*ids_file);
      if (static_cast<std::int64_t>(ids.size()) < length)
        throw UsageError(fmt::format("{}: a prompt of {} tokens needs as many ids, the file has {}",
                                     *ids_file, length, ids.size()));
      ids.resize(static_cast<std::size_t>(length));
      return ids;
    }
    std::mt19937_64 random_bits(seed);
    for (std::int64_t i = 0; i < length; ++i)
      ids.push_back(
          static_cast<std::int64_t>(random_bits() % static_cast<std::uint64_t>(vocabulary)));
    return ids;
  }

  /// The flags that give a child process the same model and prompt.
  std::vector<std::string> arguments() const {
    std::vector<std::string> out;
    if (!random) out.push_back(std::filesystem::absolute(model_dir).string());
    const auto add = [&out](const char* flag, const std::string& value) {
      out.insert(out.end(), {flag, value});
    };
    if (random) add("--random", *random);
    if (layers) add("--layers", std::to_string(*layers));
    if (ids_file) add("--ids-file", *ids_file);
    add("--seed", std::to_string(seed));
    add("--dtype", running.dtype);
    add("--device", running.device);
    if (running.threads > 0) add("--threads", std::to_string(running.threads));
    return out;
  }
};

}  // namespace promptdistill::examples
