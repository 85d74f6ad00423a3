// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The rivals against their oracle: what each keeps of prompt and cache, and what the model says
// then.

#include <ATen/Parallel.h>

#include "promptdistill/baseline/method_text.hpp"
#include "tests/catch.hpp"
#include "tests/golden/golden_method.hpp"
#include "tests/real_model.hpp"

namespace promptdistill::test {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int64_t>;

constexpr double kTiny = 2e-5;  // float32, the bound the tiny goldens were made for
constexpr double kReal = 1e-3;  // float32, SmolLM2's logits reach 25

/// As the oracle writes them: [rows], or [G][rows] where heads keep different ones.
json positions_of(const LayerCache& cache) {
  if (!cache.per_head()) return to_vector(cache.positions());
  json heads = json::array();
  for (std::int64_t g = 0; g < cache.positions().size(0); ++g)
    heads.push_back(to_vector(cache.positions()[g]));
  return heads;
}

json positions_of(const KvCache& cache) {
  json layers = json::array();
  for (std::int64_t l = 0; l < cache.layers(); ++l) layers.push_back(positions_of(cache.at(0, l)));
  return layers;
}

struct Answer {
  GenerateResult result;
  json after_prompt, after_answer;  // positions of every layer's cache
};

Answer answer(const CausalLm& lm,
              const Ids& ids,
              const MethodOptions& method,
              std::int64_t max_new_tokens) {
  Answer out;
  KvCache cache = lm.make_cache(1, 3);  // less than what is decoded
  GenerateOptions options;
  options.max_new_tokens = max_new_tokens;
  options.on_token = [&](std::int64_t) {
    if (out.after_prompt.is_null()) out.after_prompt = positions_of(cache);
    return true;
  };
  out.result = run_method(lm, ids, method, options, cache);
  out.after_answer = positions_of(cache);
  return out;
}

void check_choices(const Answer& got, const Ids& ids, const json& expected) {
  const json& stages = expected.at("stages");
  REQUIRE(got.result.stages.size() >= stages.size());
  for (std::size_t s = 0; s < got.result.stages.size(); ++s) {
    const Ids kept = to_vector(got.result.stages[s].kept_positions);
    if (s < stages.size()) {
      CHECK(got.result.stages[s].layer == stages.at(s).at("layer").get<std::int64_t>());
      CHECK(kept == stages.at(s).at("kept_positions").get<Ids>());
    } else {
      CHECK(kept.size() == ids.size());  // the oracle names no stage that keeps everything
    }
  }
  CHECK(got.result.cache_rows == expected.at("cache_rows").get<Ids>());
  CHECK(got.result.tokens == expected.at("tokens").get<Ids>());
}

TEST_CASE("every rival on tiny checkpoints equals the oracle", "[golden]") {
  const std::string name = GENERATE("tiny-llama3rope", "tiny-untied");
  at::set_num_threads(1);  // so small that threads only wait for each other
  const CausalLm lm = load_tiny(name);
  const json golden = read_golden("rivals/" + name + ".json");
  REQUIRE(golden.at("cases").size() >= 35);
  for (const json& test : golden.at("cases")) {
    MethodOptions method = parse_method(rival_text(test));
    const auto ids = test.at("ids").get<Ids>();
    const json& expected = test.at("expected");
    // Max pooling makes ties, and which of them topk takes is each device's own choice.
    if (test_device() != at::kCPU && test.at("settings").value("kind", "") == "max") continue;
    const bool twice = method.kind == MethodKind::kGemFilter;
    for (int form = 0; form < (twice ? 2 : 1); ++form) {
      if (form == 1) method.kind = MethodKind::kGemFilterImproved;
      INFO(test.at("name") << ", as " << to_string(method));
      const Answer got = answer(lm, ids, method, test.at("max_new").get<std::int64_t>());
      check_choices(got, ids, expected);
      CHECK(got.after_prompt == expected.at("cache_positions"));
      CHECK(got.after_answer == expected.at("last_cache_positions"));
      CHECK(apart(got.result.prefill_logits,
                  expected.at("prefill_logits").get<std::vector<double>>()) < kTiny);
      CHECK(apart(got.result.last_logits, expected.at("last_logits").get<std::vector<double>>()) <
            kTiny);
    }
  }
}

TEST_CASE("every rival on SmolLM2 equals the oracle in float32", "[golden][real]") {
  at::set_num_threads(at::intraop_default_num_threads());
  const auto folder = real_model();
  if (!folder) return;
  LoadOptions load;
  load.dtype = at::kFloat;
  const CausalLm lm = load_causal_lm(*folder, load);
  const json golden = read_golden("rivals/smollm2.json");
  const auto ids = golden.at("ids").get<Ids>();
  REQUIRE(golden.at("cases").size() == 5);
  for (const json& test : golden.at("cases")) {
    INFO(test.at("name"));
    const json& expected = test.at("expected");
    const Answer got =
        answer(lm, ids, parse_method(rival_text(test)), test.at("max_new").get<std::int64_t>());
    check_choices(got, ids, expected);
    for (const auto& [layer, positions] : expected.at("cache_positions").items()) {
      CHECK(got.after_prompt.at(std::stoul(layer)) == positions);
      CHECK(got.after_answer.at(std::stoul(layer)) ==
            expected.at("last_cache_positions").at(layer));
    }
    CHECK(apart_from_sample(got.result.prefill_logits, expected.at("prefill_logits")) < kReal);
    CHECK(apart_from_sample(got.result.last_logits, expected.at("last_logits")) < kReal);
  }
}

}  // namespace
}  // namespace promptdistill::test
