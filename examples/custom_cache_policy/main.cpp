// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// custom_cache_policy: a cache policy of one's own. It keeps the newest rows of a layer and, per KV
// head, those with the smallest keys (the idea: arXiv 2406.11430); then checks what it did.

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
#include "promptdistill/model.hpp"

namespace {

namespace pd = promptdistill;

/// All that a cache policy is: one method (its contract: promptdistill::CachePolicy).
struct SmallestKeys {
  std::int64_t small;   // rows per KV head that stay for their keys
  std::int64_t recent;  // newest rows that stay

  void evict(const pd::CacheProbe& probe, pd::LayerCache& cache) const {
    const std::int64_t rows = cache.rows(), old = rows - recent;
    if (!probe.complete || old <= small) return;  // later chunks of the prompt read the cache too
    const at::Tensor norms = cache.keys().narrow(1, 0, old).to(at::kFloat).norm(2, -1);  // [G, old]
    const at::Tensor best = std::get<1>(norms.topk(small, -1, /*largest=*/false));
    const at::Tensor newest = at::arange(old, rows, best.options()).expand({best.size(0), recent});
    cache.keep(std::get<0>(at::cat({best, newest}, 1).sort(-1)), probe.room);
  }
};
static_assert(pd::CachePolicy<SmallestKeys>);

struct Flags {
  std::filesystem::path model_dir;
  std::string ids_file;
  std::int64_t small = 64, recent = 64, max_new_tokens = 8;
};

void require(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(std::string("the policy's check failed: ") + what);
}

void run(const Flags& flags) {
  const std::vector<std::int64_t> prompt = pd::examples::read_ids(flags.ids_file);
  const pd::CausalLm lm = pd::load_causal_lm(flags.model_dir);
  pd::GenerateOptions options;
  options.max_new_tokens = flags.max_new_tokens;
  const auto answer = [&](auto policy) {
    pd::KvCache cache = lm.make_cache(1, flags.max_new_tokens);
    return pd::generate(lm, prompt, cache, pd::NoDistill{}, options, policy);
  };

  const pd::GenerateResult full = answer(pd::KeepCache{});
  const pd::GenerateResult cut = answer(SmallestKeys{flags.small, flags.recent});
  for (const std::int64_t rows : cut.cache_rows)
    require(rows <= flags.small + flags.recent, "a layer holds more rows than asked for");
  require(at::equal(cut.prefill_logits, full.prefill_logits), "the prompt's own answer changed");
  const auto all = static_cast<std::int64_t>(prompt.size()) + flags.max_new_tokens;
  require(answer(SmallestKeys{all, 1}).tokens == full.tokens, "keeping all changed the answer");

  const nlohmann::json out{{"tokens", cut.tokens},
                           {"full_tokens", full.tokens},
                           {"cache_rows", cut.cache_rows},
                           {"cache_bytes", cut.cache_bytes},
                           {"full_cache_bytes", full.cache_bytes}};
  fmt::print("{}\n", out.dump());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "A cache policy of one's own beside full attention: tokens, cache rows and bytes as JSON.",
      "custom_cache_policy");
  app.footer("Example:\n  custom_cache_policy MODEL_DIR --ids-file ids.json --small 256");
  Flags flags;
  app.add_option("model_dir", flags.model_dir, "a folder with config.json and model.safetensors")
      ->required()
      ->option_text("MODEL_DIR");
  app.add_option("--ids-file", flags.ids_file, "the prompt, a JSON array of token ids")->required();
  app.add_option("--small", flags.small, "rows per KV head that stay for their small keys")
      ->check(pd::examples::at_least(0))
      ->capture_default_str();
  app.add_option("--recent", flags.recent, "newest rows that stay")
      ->check(pd::examples::at_least(1))
      ->capture_default_str();
  app.add_option("--max-new-tokens", flags.max_new_tokens, "")
      ->check(pd::examples::at_least(1))
      ->capture_default_str();
  return pd::examples::run_program(app, argc, argv, [&] { run(flags); });
}
