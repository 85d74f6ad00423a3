// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The method against the oracle: tiny checkpoints through every schedule, alone and batched, and
// SmolLM2 at 4,000 tokens.

#include <ATen/Parallel.h>

#include "tests/catch.hpp"
#include "tests/golden/golden_method.hpp"
#include "tests/real_model.hpp"

namespace promptdistill::test {
namespace {

constexpr double kTiny = 2e-5;  // float32, the bound the tiny goldens were made for
constexpr double kReal = 1e-3;  // float32, SmolLM2's logits reach 25

using Ids = std::vector<std::int64_t>;

struct Decoded {
  std::vector<Ids> tokens;
  std::vector<at::Tensor> last_logits;
};

/// Greedy decode of a batch, each row one token a step; the last token is not run.
Decoded decode(const CausalLm& lm, at::Tensor logits, KvCache& cache, std::size_t count) {
  const std::int64_t batch = logits.size(0);
  Decoded out{std::vector<Ids>(static_cast<std::size_t>(batch)), {}};
  for (;;) {
    const at::Tensor next = logits.argmax(1);
    for (std::int64_t b = 0; b < batch; ++b)
      out.tokens[static_cast<std::size_t>(b)].push_back(next[b].item<std::int64_t>());
    if (out.tokens[0].size() == count) break;
    logits = lm.logits(lm.append(next, Ids(static_cast<std::size_t>(batch), 1), cache));
  }
  for (std::int64_t b = 0; b < batch; ++b) out.last_logits.push_back(logits[b]);
  return out;
}

/// Runs cases with the same settings as one packed batch and compares every row with its own
/// golden.
void check_batch(const CausalLm& lm,
                 const std::vector<nlohmann::json>& tests,
                 Placement placement,
                 double bound) {
  const AnyDistiller policy = make_distiller(golden_options(tests[0]));
  Ids ids, lengths;
  for (const auto& test : tests) {
    const auto own = test.at("ids").get<Ids>();
    ids.insert(ids.end(), own.begin(), own.end());
    lengths.push_back(static_cast<std::int64_t>(own.size()));
  }
  const auto max_new = tests[0].at("max_new").get<std::size_t>();
  KvCache cache = lm.make_cache(static_cast<std::int64_t>(tests.size()), 2);
  PrefillOptions options;
  options.placement = placement;
  const PrefillResult result =
      lm.prefill(at::tensor(ids, at::kLong), lengths, cache, policy, options);
  const at::Tensor logits = lm.logits(result.last_hidden);
  std::vector<Ids> rows;
  for (std::size_t b = 0; b < tests.size(); ++b)
    rows.push_back(cache.rows(static_cast<std::int64_t>(b)));
  const Decoded decoded = decode(lm, logits, cache, max_new);
  for (std::size_t b = 0; b < tests.size(); ++b) {
    INFO(tests[b].at("name") << (placement == Placement::kBefore ? ", before" : ", after"));
    const auto& expected = tests[b].at("expected");
    REQUIRE(result.stages.size() == expected.at("stages").size());
    for (std::size_t s = 0; s < result.stages.size(); ++s) {
      const StageRecord& stage = result.stages[s];
      const auto& golden = expected.at("stages").at(s);
      const at::Tensor kept = stage.kept_positions.slice(0, stage.offsets[b], stage.offsets[b + 1]);
      CHECK(stage.layer == golden.at("layer").get<std::int64_t>());
      CHECK(to_vector(kept) == golden.at("kept_positions").get<Ids>());
      if (stage.scores[b].defined())
        CHECK(apart(stage.scores[b], golden.at("scores").get<std::vector<double>>()) < bound);
    }
    CHECK(rows[b] == expected.at("cache_rows").get<Ids>());
    CHECK(apart(logits[static_cast<std::int64_t>(b)],
                expected.at("prefill_logits").get<std::vector<double>>()) < bound);
    CHECK(decoded.tokens[b] == expected.at("tokens").get<Ids>());
    CHECK(apart(decoded.last_logits[b], expected.at("last_logits").get<std::vector<double>>()) <
          bound);
  }
  if (const auto then = tests[0].at("then").get<Ids>(); tests.size() == 1 && !then.empty()) {
    // The answer's last token has not been run: the next turn appends it first.
    Ids turn{decoded.tokens[0].back()};
    turn.insert(turn.end(), then.begin(), then.end());
    const at::Tensor after = lm.logits(
        lm.append(at::tensor(turn, at::kLong), {static_cast<std::int64_t>(turn.size())}, cache));
    const auto& expected = tests[0].at("expected");
    INFO(tests[0].at("name") << ", next turn");
    CHECK(apart(after[0], expected.at("then_logits").get<std::vector<double>>()) < bound);
    CHECK(decode(lm, after, cache, max_new).tokens[0] == expected.at("then_tokens").get<Ids>());
  }
}

TEST_CASE("tiny checkpoints equal the oracle, in both placements", "[golden]") {
  const std::string name = GENERATE("tiny-llama3rope", "tiny-untied");
  at::set_num_threads(1);  // so small that threads only wait for each other
  const CausalLm lm = load_tiny(name);
  const nlohmann::json golden = read_golden("method/" + name + ".json");
  REQUIRE(golden.at("cases").size() >= 15);
  for (const auto& test : golden.at("cases")) {
    for (const Placement placement : {Placement::kBefore, Placement::kAfter})
      check_batch(lm, {test}, placement, kTiny);
  }
}

TEST_CASE("a packed batch equals the oracle row by row", "[golden]") {
  const std::string name = GENERATE("tiny-llama3rope", "tiny-untied");
  at::set_num_threads(1);  // so small that threads only wait for each other
  const CausalLm lm = load_tiny(name);
  const nlohmann::json golden = read_golden("method/" + name + ".json");
  std::map<std::string, std::vector<nlohmann::json>> batches;
  for (const auto& test : golden.at("cases")) {
    if (test.contains("batch")) batches[test.at("batch")].push_back(test);
  }
  REQUIRE(!batches.empty());
  for (const auto& [batch, tests] : batches) {
    REQUIRE(tests.size() >= 3);
    for (const Placement placement : {Placement::kBefore, Placement::kAfter})
      check_batch(lm, tests, placement, kTiny);
  }
}

TEST_CASE("SmolLM2 at 4,000 tokens equals the oracle in float32", "[golden][real]") {
  at::set_num_threads(at::intraop_default_num_threads());
  const auto folder = real_model();
  if (!folder) return;
  LoadOptions load;
  load.dtype = at::kFloat;
  const CausalLm lm = load_causal_lm(*folder, load);
  const nlohmann::json golden = read_golden("method/smollm2.json");
  const auto ids = golden.at("ids").get<Ids>();
  REQUIRE(ids.size() == 4000);
  for (const auto& test : golden.at("cases")) {
    INFO(test.at("name"));
    GenerateOptions options;
    options.max_new_tokens = test.at("max_new").get<std::int64_t>();
    KvCache cache = lm.make_cache(1, options.max_new_tokens);
    const GenerateResult result =
        generate(lm, ids, cache, make_distiller(golden_options(test)), options);
    const auto& expected = test.at("expected");
    REQUIRE(result.stages.size() == expected.at("stages").size());
    for (std::size_t s = 0; s < result.stages.size(); ++s) {
      CHECK(to_vector(result.stages[s].kept_positions) ==
            expected.at("stages").at(s).at("kept_positions").get<Ids>());
    }
    CHECK(result.cache_rows == expected.at("cache_rows").get<Ids>());
    CHECK(result.tokens == expected.at("tokens").get<Ids>());
    CHECK(apart_from_sample(result.prefill_logits, expected.at("prefill_logits")) < kReal);
    CHECK(apart_from_sample(result.last_logits, expected.at("last_logits")) < kReal);
    if (test.at("stages").empty())
      CHECK(apart_from_sample(result.prefill_logits, golden.at("transformers_logits")) < kReal);
  }
}

}  // namespace
}  // namespace promptdistill::test
