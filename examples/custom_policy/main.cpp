// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// custom_policy: an answer by a scorer and a selector of one's own, beside full attention's.

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
#include "examples/custom_policy/policy.hpp"
#include "promptdistill/model.hpp"

namespace {

namespace pd = promptdistill;

struct Flags {
  std::filesystem::path model_dir;
  std::string ids_file, stages = "14:512";
  std::int64_t block = 16, max_new_tokens = 8;
};

void run(const Flags& flags) {
  const std::vector<std::int64_t> prompt = pd::examples::read_ids(flags.ids_file);
  const pd::CausalLm lm = pd::load_causal_lm(flags.model_dir);
  const std::vector<pd::Stage> stages = pd::parse_stages(flags.stages);
  pd::GenerateOptions options;
  options.max_new_tokens = flags.max_new_tokens;
  const auto answer = [&](const auto& policy) {
    pd::KvCache cache = lm.make_cache(1, flags.max_new_tokens);
    return pd::generate(lm, prompt, cache, policy, options);
  };

  // The types, put together; pd::AnyDistiller(policy) would hold it where one is chosen at run
  // time.
  const pd::Distiller policy(pd::Schedule(stages, static_cast<std::int64_t>(stages.size())),
                             pd::Pooled(custom::LoudestHead{}), custom::WholeBlocks{flags.block});
  const pd::GenerateResult cut = answer(policy), full = answer(pd::NoDistill{});
  if (!stages.empty()) {
    const auto all = static_cast<std::int64_t>(prompt.size());
    const pd::Distiller roomy(pd::Schedule({{stages.front().layer, pd::Count{all}}}, 1),
                              custom::LoudestHead{}, custom::WholeBlocks{flags.block});
    if (answer(roomy).tokens != full.tokens)
      throw std::runtime_error("the policy's check failed: keeping all changed the answer");
  }
  nlohmann::json out{{"tokens", cut.tokens},
                     {"full_tokens", full.tokens},
                     {"cache_rows", cut.cache_rows},
                     {"stages", nlohmann::json::array()}};
  for (const pd::StageRecord& stage : cut.stages) {
    const auto* kept = stage.kept_positions.const_data_ptr<std::int64_t>();
    out["stages"].push_back(
        {{"layer", stage.layer},
         {"kept_positions", std::vector<std::int64_t>(kept, kept + stage.kept_positions.numel())}});
  }
  fmt::print("{}\n", out.dump());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "A scorer and a selector of one's own beside full attention: tokens, cache rows and kept "
      "positions as JSON.",
      "custom_policy");
  app.footer("Example:\n  custom_policy MODEL_DIR --ids-file ids.json --stages 14:512");
  Flags flags;
  app.add_option("model_dir", flags.model_dir, "a folder with config.json and model.safetensors")
      ->required()
      ->option_text("MODEL_DIR");
  app.add_option("--ids-file", flags.ids_file, "the prompt, a JSON array of token ids")->required();
  app.add_option("--stages", flags.stages, "LAYER:COUNT or LAYER:SHARE%, ...")
      ->capture_default_str();
  app.add_option("--block", flags.block, "tokens that stay or go together")
      ->check(pd::examples::at_least(1))
      ->capture_default_str();
  app.add_option("--max-new-tokens", flags.max_new_tokens, "")
      ->check(pd::examples::at_least(1))
      ->capture_default_str();
  return pd::examples::run_program(app, argc, argv, [&] { run(flags); });
}
