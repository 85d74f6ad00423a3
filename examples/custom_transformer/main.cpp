// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// custom_transformer: runs the decoder of decoder.hpp on a LLaMA checkpoint (default RoPE),
// distilled by the lines marked there.

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "examples/common/ids.hpp"
#include "examples/common/program.hpp"
#include "examples/custom_transformer/checkpoint.hpp"
#include "examples/custom_transformer/decoder.hpp"
#include "promptdistill/options.hpp"

namespace {

namespace pd = promptdistill;

/// Notes which positions each stage keeps, on top of the policy it wraps: a policy of one's own is
/// a few lines.
struct Recording {
  const pd::AnyDistiller& policy;
  nlohmann::json& stages;

  void check(std::int64_t layers, std::int64_t heads) const { policy.check(layers, heads); }
  bool selects_at(std::int64_t layer) const { return policy.selects_at(layer); }
  bool truncates_at(std::int64_t layer) const { return policy.truncates_at(layer); }
  std::int64_t window(std::int64_t layer) const { return policy.window(layer); }
  pd::Selection select(const pd::LayerProbe& probe) const {
    pd::Selection selection = policy.select(probe);
    const at::Tensor kept = selection.indices.defined()
                                ? probe.positions.index_select(0, selection.indices)
                                : probe.positions.contiguous();
    const auto* data = kept.const_data_ptr<std::int64_t>();
    stages.push_back({{"layer", probe.layer},
                      {"kept_positions", std::vector<std::int64_t>(data, data + kept.numel())}});
    return selection;
  }
};
static_assert(pd::DistillPolicy<Recording>);

struct Flags {
  std::filesystem::path model_dir;
  std::string ids_file, stages, truncate = "none";
  std::int64_t max_new_tokens = 6;
};

void run(const Flags& flags) {
  const c10::InferenceMode guard;
  const auto prompt = pd::examples::read_ids(flags.ids_file);
  if (prompt.empty()) throw std::runtime_error("the prompt must have at least one token");

  pd::DistillOptions options;
  options.stages = pd::parse_stages(flags.stages);
  options.truncated_stages = pd::parse_truncate(flags.truncate);
  const pd::AnyDistiller distiller = pd::make_distiller(options);

  custom::Decoder decoder = custom::load_decoder(flags.model_dir);
  distiller.check(decoder.config.layers, decoder.config.heads);

  nlohmann::json stages = nlohmann::json::array(), tokens = nlohmann::json::array(),
                 rows = nlohmann::json::array();
  custom::Cache cache(decoder.config.layers);
  const auto length = static_cast<std::int64_t>(prompt.size());
  const auto start = std::chrono::steady_clock::now();
  at::Tensor logits = decoder.forward(at::tensor(prompt, at::kLong).unsqueeze(0),
                                      at::arange(length, at::kLong).unsqueeze(0), cache,
                                      Recording{distiller, stages});
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (std::int64_t l = 0; l < decoder.config.layers; ++l) rows.push_back(cache.keys(l).size(2));
  for (std::int64_t step = 0;; ++step) {
    const at::Tensor next = logits.argmax(-1, true);
    tokens.push_back(next.item<std::int64_t>());
    if (step + 1 == flags.max_new_tokens) break;
    // The next token stands where it would stand had nothing been dropped.
    logits = decoder.forward(next, at::full({1, 1}, length + step, at::kLong), cache);
  }
  const nlohmann::json out{
      {"stages", stages}, {"cache_rows", rows}, {"tokens", tokens}, {"prefill_seconds", seconds}};
  fmt::print("{}\n", out.dump());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "A LibTorch decoder of one's own, made cheap by a few lines. Prints kept positions, cache "
      "rows and greedy tokens as JSON.",
      "custom_transformer");
  app.footer(
      "Example:\n  custom_transformer MODEL_DIR --ids-file ids.json --stages 14:512 --truncate "
      "all");
  Flags flags;
  app.add_option("model_dir", flags.model_dir, "a folder with config.json and model.safetensors")
      ->required()
      ->option_text("MODEL_DIR");
  app.add_option("--ids-file", flags.ids_file, "the prompt, a JSON array of token ids")->required();
  app.add_option("--stages", flags.stages,
                 "LAYER:COUNT or LAYER:SHARE%, ... (default: full attention)");
  app.add_option("--truncate", flags.truncate,
                 "how many stages also cut the caches: none, all or N")
      ->capture_default_str();
  app.add_option("--max-new-tokens", flags.max_new_tokens, "")
      ->check(pd::examples::at_least(1))
      ->capture_default_str();
  return pd::examples::run_program(app, argc, argv, [&] { run(flags); });
}
