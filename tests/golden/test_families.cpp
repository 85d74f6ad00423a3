// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Every family and every kind of RoPE against the oracle and transformers, in full and distilled;
// prints a table of what was found.

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <set>

#include "tests/catch.hpp"
#include "tests/device.hpp"
#include "tests/golden/golden_method.hpp"
#include "tests/io/files.hpp"
#include "tests/io/tiny_lm.hpp"

namespace promptdistill::test {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int64_t>;

constexpr double kBound = 2e-5;  // float32

const std::vector<std::string> kVariants{
    "llama-linear", "llama-dynamic", "llama-yarn", "llama-longrope", "mistral",
    "phi3",         "phi3-partial",  "qwen2",      "qwen3",          "seed_oss"};

/// README's recipe: a family that the library does not know, added by what sets it apart.
std::vector<Family> families_and_seed_oss() {
  std::vector<Family> families = known_families();
  families.push_back({.model_type = "seed_oss", .qkv_bias = true, .o_bias = false});
  return families;
}

CausalLm load(const fs::path& folder, std::optional<at::ScalarType> dtype) {
  at::set_num_threads(1);
  LoadOptions options;
  options.dtype = dtype;
  options.device = test_device();
  options.families = families_and_seed_oss();
  return load_causal_lm(folder, options);
}

double apart_from(const at::Tensor& got, const nlohmann::json& expected) {
  return apart(got, expected.get<std::vector<double>>());
}

/// Runs the case and compares all of it; returns the largest difference of the logits.
double check_case(const CausalLm& lm, const nlohmann::json& test, Placement placement) {
  INFO(test.at("name") << (placement == Placement::kBefore ? ", before" : ", after"));
  GenerateOptions options;
  options.max_new_tokens = test.at("max_new").get<std::int64_t>();
  options.prefill.placement = placement;
  KvCache cache = lm.make_cache();
  const GenerateResult result =
      generate(lm, test.at("ids").get<Ids>(), cache, make_distiller(golden_options(test)), options);
  const auto& expected = test.at("expected");
  REQUIRE(result.stages.size() == expected.at("stages").size());
  for (std::size_t s = 0; s < result.stages.size(); ++s)
    CHECK(to_vector(result.stages[s].kept_positions) ==
          expected.at("stages").at(s).at("kept_positions").get<Ids>());
  CHECK(result.cache_rows == expected.at("cache_rows").get<Ids>());
  CHECK(result.tokens == expected.at("tokens").get<Ids>());
  const double worst = std::max(apart_from(result.prefill_logits, expected.at("prefill_logits")),
                                apart_from(result.last_logits, expected.at("last_logits")));
  CHECK(worst < kBound);
  return worst;
}

double from_transformers(const CausalLm& lm, const nlohmann::json& test) {
  GenerateOptions options;
  options.max_new_tokens = test.at("max_new").get<std::int64_t>();
  KvCache cache = lm.make_cache();
  const GenerateResult result = generate(lm, test.at("ids").get<Ids>(), cache, {}, options);
  const auto& theirs = test.at("transformers_logits");
  return std::max(apart_from(result.prefill_logits, theirs.at(0)),
                  apart_from(result.last_logits, theirs.at(1)));
}

/// Kept positions in bfloat16 that are the bfloat16 oracle's, and how many there are.
std::pair<std::size_t, std::size_t> equal_in_bfloat16(const CausalLm& lm,
                                                      const nlohmann::json& test) {
  std::size_t equal = 0, all = 0;
  const auto ids = test.at("ids").get<Ids>();
  KvCache cache = lm.make_cache();
  PrefillOptions options;
  options.max_new_tokens = test.at("max_new").get<std::int64_t>();
  const PrefillResult result =
      lm.prefill(at::tensor(ids, at::kLong), {static_cast<std::int64_t>(ids.size())}, cache,
                 make_distiller(golden_options(test)), options);
  for (std::size_t s = 0; s < result.stages.size(); ++s) {
    const auto theirs = test.at("bfloat16_kept").at(s).get<std::set<std::int64_t>>();
    for (const std::int64_t position : to_vector(result.stages[s].kept_positions))
      equal += theirs.contains(position);
    all += theirs.size();
  }
  return {equal, all};
}

TEST_CASE("every family equals the oracle and transformers, in full and distilled",
          "[golden][families]") {
  fmt::print("{:15} {:>5} {:>14} {:>14} {:>9} {:>15}\n", "float32", "cases", "from oracle",
             "transformers", "steps", "bfloat16 kept");
  for (const std::string& name : kVariants) {
    INFO(name);
    const TempDir folder;
    assemble_family(name, folder.path());
    const CausalLm lm = load(folder.path(), at::kFloat), narrow = load(folder.path(), {});
    REQUIRE(narrow.dtype() == at::kBFloat16);
    const nlohmann::json golden = read_golden("families/" + name + ".json");
    REQUIRE(golden.at("cases").size() >= 10);
    double oracle = 0, transformers = 0;
    std::size_t equal = 0, all = 0, steps = 0;
    for (const auto& test : golden.at("cases")) {
      INFO(test.at("name"));
      for (const Placement placement : {Placement::kBefore, Placement::kAfter})
        oracle = std::max(oracle, check_case(lm, test, placement));
      steps = std::max(steps, test.at("max_new").get<std::size_t>());
      if (test.contains("transformers_logits"))
        transformers = std::max(transformers, from_transformers(lm, test));
      const auto [same, kept] = equal_in_bfloat16(narrow, test);
      equal += same;
      all += kept;
    }
    CHECK(steps == 64);
    CHECK(transformers < kBound);
    const double share = static_cast<double>(equal) / static_cast<double>(all);
    CHECK(share > 0.95);
    fmt::print("{:15} {:5} {:14.1e} {:14.1e} {:9} {:14.1f}%\n", name, golden.at("cases").size(),
               oracle, transformers, steps, 100 * share);
  }
}

TEST_CASE("rows of a batch choose their rotary factors each by its own length", "[golden]") {
  for (const std::string& name : {std::string("phi3"), std::string("llama-dynamic")}) {
    INFO(name);
    const TempDir folder;
    assemble_family(name, folder.path());
    const CausalLm lm = load(folder.path(), at::kFloat);
    const nlohmann::json cases = read_golden("families/" + name + ".json").at("cases");
    const auto longer = cases.at(0).at("ids").get<Ids>();
    const Ids shorter(longer.begin(), longer.begin() + 20);
    Ids both = shorter;
    both.insert(both.end(), longer.begin(), longer.end());
    PrefillOptions options;
    options.max_new_tokens = 20;  // to 40 and 140: original lengths are 64 and 96
    KvCache cache = lm.make_cache(2), alone = lm.make_cache(), other = lm.make_cache();
    at::Tensor logits =
        lm.logits(lm.prefill(at::tensor(both, at::kLong), {20, 120}, cache, NoDistill{}, options)
                      .last_hidden);
    const at::Tensor first = lm.logits(
        lm.prefill(at::tensor(shorter, at::kLong), {20}, alone, NoDistill{}, options).last_hidden);
    const at::Tensor second = lm.logits(
        lm.prefill(at::tensor(longer, at::kLong), {120}, other, NoDistill{}, options).last_hidden);
    CHECK((logits - at::cat({first, second})).abs().max().item<double>() < kBound);
    const auto next = at::tensor({5, 6}, at::kLong);
    logits = lm.logits(lm.append(next, {1, 1}, cache));
    CHECK((logits - at::cat({lm.logits(lm.append(next.slice(0, 0, 1), {1}, alone)),
                             lm.logits(lm.append(next.slice(0, 1, 2), {1}, other))}))
              .abs()
              .max()
              .item<double>() < kBound);
  }
}

TEST_CASE("a request cannot outgrow the rotary factors chosen for it", "[golden]") {
  const TempDir folder;
  assemble_family("phi3", folder.path());
  const CausalLm lm = load(folder.path(), at::kFloat);
  const Ids ids = read_golden("families/phi3.json").at("cases").at(0).at("ids").get<Ids>();
  KvCache cache = lm.make_cache();
  lm.prefill(at::tensor(Ids(ids.begin(), ids.begin() + 60), at::kLong), {60}, cache);
  lm.append(at::tensor({5, 6, 7, 8}, at::kLong), {4}, cache);  // to 64, which short factors serve
  KvCache fork = cache.fork();
  for (KvCache* full : {&cache, &fork})
    CHECK_THROWS_WITH(lm.append(at::tensor({5}, at::kLong), {1}, *full),
                      Catch::Matchers::Contains("must stay within the 64 tokens"));
  KvCache told = lm.make_cache(1, 5);  // the room says that more is to come
  lm.prefill(at::tensor(Ids(ids.begin(), ids.begin() + 60), at::kLong), {60}, told);
  lm.append(at::tensor({5, 6, 7, 8, 9}, at::kLong), {5}, told);
  CHECK(told.next_position(0) == 65);
}

TEST_CASE("a family is added by saying what sets it apart", "[golden]") {
  const TempDir folder;
  assemble_family("seed_oss", folder.path());
  CHECK_THROWS_WITH(load_causal_lm(folder.path()),
                    Catch::Matchers::Contains("key model_type has the value \"seed_oss\", which is "
                                              "not supported; supported: llama, mistral"));
  LoadOptions options;
  options.families = families_and_seed_oss();
  CHECK(load_causal_lm(folder.path(), options).config.qkv_bias);
  options.families.back().o_bias = true;
  CHECK_THROWS_WITH(
      load_causal_lm(folder.path(), options),
      Catch::Matchers::Contains("tensor model.layers.0.self_attn.o_proj.bias is missing"));
}

}  // namespace
}  // namespace promptdistill::test
