// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Methods by name: their text, their limits, and what they have in common with full attention.

#include "promptdistill/baseline/method_text.hpp"
#include "tests/core/test_support.hpp"
#include "tests/io/tiny_lm.hpp"

namespace promptdistill::test {
namespace {

constexpr const char* kTexts[] = {
    "full",
    "promptdistill:stages=1:64,2:25%,truncate=all,placement=after,scorer=window,window=8,"
    "heads=1:0,2;2:1,pool=15,protect_first=3,protect_last=9",
    "promptdistill:stages=2:16",
    "promptdistill:stages=2:16,scorer=raw,window=8,skip_last=5",
    "gemfilter:layer=2,tokens=24",
    "gemfilter-improved:layer=2,tokens=24,pool=3",
    "snapkv",
    "snapkv:capacity=32,window=8,pool=7,pooling=max",
    "h2o:heavy=12,recent=8",
    "streamingllm:sinks=2,recent=16",
    "fastkv:layer=1,rate=0.35,capacity=32"};

MethodOptions with_kind(MethodKind kind) {
  MethodOptions method;
  method.kind = kind;
  return method;
}

TEST_CASE("a method is read back from its text", "[baseline]") {
  for (const char* text : kTexts) CHECK(to_string(parse_method(text)) == text);
  for (const auto& entry : detail::kMethodNames) {
    CHECK(to_string(with_kind(entry.kind)) == entry.name);
    CHECK(parse_method(entry.name).kind == entry.kind);
  }
  const MethodOptions method = parse_method(kTexts[1]);
  CHECK(method.distill.stages.size() == 2);
  CHECK(method.distill.truncated_stages == kTruncateAll);
  CHECK(method.distill.heads.at(1) == Ids{0, 2});
  CHECK(method.placement == Placement::kAfter);
  CHECK(parse_method("snapkv:window=8,capacity=32").snap_kv.capacity == 32);  // in any order
  CHECK(parse_method("promptdistill:window=8,scorer=window").distill.window == 8);
  MethodOptions unused = parse_method("promptdistill:stages=2:16");
  unused.distill.window = 8;  // of a scorer that was not chosen: a text that says it is refused
  CHECK(to_string(unused) == "promptdistill:stages=2:16");
}

TEST_CASE("a method's text is checked", "[baseline]") {
  const auto refused = [](const char* text, const std::vector<std::string>& words) {
    INFO(text);
    check_throws<c10::ValueError>([&] { parse_method(text); }, words);
  };
  refused("", {"must be one of full, promptdistill, gemfilter", "got ''"});
  refused("SnapKV", {"got 'SnapKV'"});
  refused("snapkv:", {"NAME:key=value", "'snapkv:'"});
  refused("snapkv:64", {"NAME:key=value"});
  refused("snapkv:heavy=3",
          {"snapkv has the settings capacity, window, pool, pooling", "got 'heavy'"});
  refused("full:window=3", {"full has no settings"});
  refused("h2o:heavy=3,heavy=4", {"heavy twice"});
  refused("h2o:heavy=3,4", {"h2o's heavy must be a number", "3,4"});
  refused("h2o:heavy=", {"h2o's heavy must be a number"});
  refused("h2o:heavy=99999999999999999999", {"h2o's heavy must be a number"});
  refused("h2o:heavy=-1", {"at least 1, got -1"});
  refused("snapkv:pooling=min", {"snapkv's pooling must be avg or max, got 'min'"});
  refused("snapkv:capacity=8", {"capacity must be at least its window of 32, got 8"});
  refused("gemfilter:pool=2", {"odd", "got 2"});
  refused("gemfilter:tokens=0", {"at least 1 token, got 0"});
  refused("gemfilter-improved:layer=-1", {"not be negative, got -1"});
  refused("fastkv:rate=0", {"above 0", "got 0"});
  refused("fastkv:rate=1.5", {"at most 1", "got 1.5"});
  refused("fastkv:rate=nan", {"rate"});
  refused("fastkv:layer=-3", {"not be negative, got -3"});
  refused("fastkv:capacity=4", {"capacity must be at least its window of 8, got 4"});
  refused("promptdistill:stages=2:0", {"at least 1 token"});
  refused("promptdistill:stages=2:9,window=8", {"window has no effect"});
  refused("promptdistill:placement=middle", {"before or after, got 'middle'"});
}

TEST_CASE("a layer that a model lacks is named before anything runs", "[baseline]") {
  const CausalLm lm = tiny("tiny-llama3rope");  // 5 layers
  KvCache cache = lm.make_cache();
  const auto refused = [&](const char* text, const std::string& words) {
    INFO(text);
    const MethodOptions method = parse_method(text);
    check_throws<c10::IndexError>([&] { check(method, 5, 6); }, {words});
    check_throws<c10::IndexError>([&] { run_method(lm, {5, 6, 7}, method, {}, cache); }, {words});
    CHECK(cache.next_position(0) == 0);
  };
  refused("gemfilter:layer=5", "layers 0 to 4, got 5");
  refused("gemfilter-improved:layer=5", "layers 0 to 4, got 5");
  refused("fastkv:layer=4", "before the last of the layers 0 to 4, got 4");
  refused("promptdistill:stages=4:8", "before the last layer (4)");
  refused("promptdistill:stages=2:8,heads=2:6", "query heads 0 to 5, got 6");
  check(parse_method("gemfilter:layer=4"), 5, 6);
}

TEST_CASE("an empty prompt is refused by every method", "[baseline]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  for (const char* text : kTexts) {
    MethodOptions method = parse_method(text);
    KvCache cache = lm.make_cache();
    check_throws<c10::ValueError>([&] { run_method(lm, {}, method, {}, cache); },
                                  {"at least one token"});
  }
}

TEST_CASE("room for all leaves a method bit-equal to full attention", "[baseline]") {
  const std::string name = GENERATE("tiny-llama3rope", "tiny-untied");
  const CausalLm lm = tiny(name);
  std::mt19937_64 random(7);
  for (const std::int64_t count : {1, 2, 60}) {
    const Ids ids = random_ids(random, count, lm.config.vocab_size);
    GenerateOptions options;
    options.max_new_tokens = 12;
    const auto answer = [&](const std::string& text, KvCache& cache) {
      return run_method(lm, ids, parse_method(text), options, cache);
    };
    KvCache full_cache = lm.make_cache(1, 4);
    const GenerateResult full = answer("full", full_cache);
    const std::string n = std::to_string(count), most = std::to_string(count + 11);
    for (const std::string& text :
         {"promptdistill:stages=1:" + most, "gemfilter:layer=2,tokens=" + n,
          "gemfilter-improved:layer=2,tokens=" + n, "snapkv:window=1,capacity=" + n,
          "h2o:recent=1,heavy=" + most, "streamingllm:sinks=0,recent=" + most,
          "fastkv:layer=1,rate=1,window=1,capacity=" + n}) {
      INFO(text);
      KvCache cache = lm.make_cache(1, 4);
      const GenerateResult got = answer(text, cache);
      CHECK(at::equal(got.prefill_logits, full.prefill_logits));
      CHECK(at::equal(got.last_logits, full.last_logits));
      CHECK(got.tokens == full.tokens);
      CHECK(got.cache_bytes == full.cache_bytes);
      CHECK(apart(cache, 0, full_cache, 0) == 0);
    }
  }
}

TEST_CASE("each row of a batch is evicted as the same prompt alone", "[baseline]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  std::mt19937_64 random(8);
  const Ids lengths{70, 1, 97, 20};
  std::vector<Ids> prompts;
  Ids packed;
  for (const std::int64_t length : lengths) {
    prompts.push_back(random_ids(random, length, lm.config.vocab_size));
    packed.insert(packed.end(), prompts.back().begin(), prompts.back().end());
  }
  const auto compare = [&](auto make) {
    auto together = make();
    KvCache batch = lm.make_cache(4, 3);
    at::Tensor logits = lm.logits(
        lm.prefill(tensor_of(packed), lengths, batch, NoDistill{}, {}, together).last_hidden);
    std::vector<at::Tensor> steps{logits};
    std::vector<at::Tensor> chosen;
    for (int s = 0; s < 6; ++s) {
      chosen.push_back(logits.argmax(1));
      logits = lm.logits(lm.append(chosen.back(), {1, 1, 1, 1}, batch, together));
      steps.push_back(logits);
    }
    for (std::int64_t b = 0; b < 4; ++b) {
      INFO("row " << b);
      auto alone = make();
      KvCache cache = lm.make_cache(1, 3);
      CHECK(apart(prefill_one(lm, prompts[static_cast<std::size_t>(b)], cache, NoDistill{}, {},
                              alone),
                  steps[0][b]) < kTiny);
      for (std::size_t s = 0; s < chosen.size(); ++s) {
        const Ids next{chosen[s][b].item<std::int64_t>()};
        CHECK(apart(append_one(lm, next, cache, alone), steps[s + 1][b]) < kTiny);
      }
      CHECK(apart(cache, 0, batch, b) < 5 * kTiny);  // keys are larger than logits
    }
  };
  compare([] { return SnapKv({32, 8, 5, PoolKind::kAverage}); });
  compare([] { return H2o({14, 10}); });
  compare([] { return StreamingLlm({2, 20}); });
  compare([] { return AnyCachePolicy(H2o({14, 10})); });
}

TEST_CASE("GemFilter's forms keep the same tokens and report the whole prompt's", "[baseline]") {
  const CausalLm lm = tiny("tiny-untied");
  std::mt19937_64 random(9);
  CHECK(!gem_filter(lm, {5, 6, 7}, {1, 3, 5}).scores.defined());  // all are kept: no pass
  for (int draw = 0; draw < 20; ++draw) {
    const auto count = static_cast<std::int64_t>(2 + random() % 120);
    const Ids ids = random_ids(random, count, lm.config.vocab_size);
    const GemFilterOptions options{static_cast<std::int64_t>(random() % 4),
                                   1 + static_cast<std::int64_t>(random() % 60), 5};
    INFO(count << " tokens, layer " << options.layer << ", " << options.tokens << " kept");
    const GemFilterChoice improved = gem_filter(lm, ids, options),
                          authors = gem_filter(lm, ids, options, GemFilterForm::kAuthors);
    CHECK(at::equal(improved.positions, authors.positions));
    CHECK(improved.positions.numel() == std::min(count, options.tokens));
    CHECK(improved.scores.defined() == (count > options.tokens));

    KvCache cache = lm.make_cache();
    MethodOptions method = with_kind(MethodKind::kGemFilterImproved);
    method.gem_filter = options;
    GenerateOptions two;
    two.max_new_tokens = 2;
    const GenerateResult result = run_method(lm, ids, method, two, cache);
    CHECK(at::equal(result.stages.at(0).kept_positions, improved.positions));
    CHECK(result.stages.at(0).layer == options.layer);
    CHECK(cache.next_position(0) == improved.positions.numel() + 1);  // renumbered
  }
}

}  // namespace
}  // namespace promptdistill::test
