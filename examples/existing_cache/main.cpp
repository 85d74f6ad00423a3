// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// existing_cache: custom_transformer's decoder over a paged cache that it had already; cutting it
// gives pages back. Checks that the answer is the same as over plain tensors.

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "examples/common/ids.hpp"
#include "examples/common/program.hpp"
#include "examples/custom_transformer/checkpoint.hpp"
#include "examples/custom_transformer/decoder.hpp"
#include "examples/existing_cache/paged_cache.hpp"

namespace {

namespace pd = promptdistill;

struct Flags {
  std::filesystem::path model_dir;
  std::string ids_file, stages = "14:512", truncate = "all";
  std::int64_t max_new_tokens = 8;
};

void run(const Flags& flags) {
  const c10::InferenceMode guard;
  const std::vector<std::int64_t> prompt = pd::examples::read_ids(flags.ids_file);
  if (prompt.empty()) throw std::runtime_error("the prompt must have at least one token");
  pd::DistillOptions options;
  options.stages = pd::parse_stages(flags.stages);
  options.truncated_stages = pd::parse_truncate(flags.truncate);
  const pd::AnyDistiller policy = pd::make_distiller(options);
  custom::Decoder decoder = custom::load_decoder(flags.model_dir);
  const custom::Config& config = decoder.config;
  policy.check(config.layers, config.heads);

  const auto length = static_cast<std::int64_t>(prompt.size());
  std::int64_t pages = 0;
  std::vector<std::int64_t> rows;
  const auto answer = [&](auto& cache, const auto& after_prefill) {
    std::vector<std::int64_t> tokens;
    at::Tensor logits = decoder.forward(at::tensor(prompt, at::kLong).unsqueeze(0),
                                        at::arange(length).unsqueeze(0), cache, policy);
    after_prefill();
    for (std::int64_t step = 0;; ++step) {
      const at::Tensor next = logits.argmax(-1, true);
      tokens.push_back(next.item<std::int64_t>());
      if (step + 1 == flags.max_new_tokens) return tokens;
      logits = decoder.forward(next, at::full({1, 1}, length + step, at::kLong), cache);
    }
  };
  const std::int64_t per_layer = (length + flags.max_new_tokens) / custom::PagedCache::kPage + 1;
  custom::PagedCache paged(config.layers, config.kv_heads, config.head_size,
                           per_layer * config.layers);
  custom::Cache plain(config.layers);
  const std::vector<std::int64_t> tokens = answer(paged, [&] {
    pages = paged.used_pages();
    for (std::int64_t l = 0; l < config.layers; ++l) rows.push_back(paged.rows(l));
  });
  if (tokens != answer(plain, [] {}))
    throw std::runtime_error("the paged cache changed the answer");

  const nlohmann::json out{{"tokens", tokens},
                           {"cache_rows", rows},
                           {"pages", pages},
                           {"pages_uncut", (length + custom::PagedCache::kPage - 1) /
                                               custom::PagedCache::kPage * config.layers}};
  fmt::print("{}\n", out.dump());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "A LibTorch decoder with a paged cache of its own, cut by stages. Prints tokens, cache rows "
      "and pages in use as JSON.",
      "existing_cache");
  app.footer("Example:\n  existing_cache MODEL_DIR --ids-file ids.json --stages 14:512");
  Flags flags;
  app.add_option("model_dir", flags.model_dir, "a folder with config.json and model.safetensors")
      ->required()
      ->option_text("MODEL_DIR");
  app.add_option("--ids-file", flags.ids_file, "the prompt, a JSON array of token ids")->required();
  app.add_option("--stages", flags.stages, "LAYER:COUNT or LAYER:SHARE%, ...")
      ->capture_default_str();
  app.add_option("--truncate", flags.truncate, "how many stages also cut the cache: none, all or N")
      ->capture_default_str();
  app.add_option("--max-new-tokens", flags.max_new_tokens, "")
      ->check(pd::examples::at_least(1))
      ->capture_default_str();
  return pd::examples::run_program(app, argc, argv, [&] { run(flags); });
}
