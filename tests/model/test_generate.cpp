// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// generate(): why it stops, what it returns, and what the cache then holds.

#include "promptdistill/any_cache_policy.hpp"
#include "promptdistill/baseline/snap_kv.hpp"
#include "promptdistill/baseline/streaming_llm.hpp"
#include "promptdistill/model/generate.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"
#include "tests/io/tiny_lm.hpp"

namespace promptdistill::test {
namespace {

const Ids kPrompt{5, 17, 40, 9, 33, 21, 60, 2, 11};

GenerateOptions tokens(std::int64_t count) {
  GenerateOptions options;
  options.max_new_tokens = count;
  return options;
}

GenerateResult run(const CausalLm& lm,
                   const GenerateOptions& options,
                   const Ids& prompt = kPrompt) {
  KvCache cache = lm.make_cache(1, options.max_new_tokens);
  return generate(lm, prompt, cache, NoDistill{}, options);
}

/// Greedy tokens by prefilling everything anew for each one.
Ids naive_greedy(const CausalLm& lm, Ids all, int count) {
  Ids out;
  for (int i = 0; i < count; ++i) {
    KvCache cache = lm.make_cache();
    out.push_back(prefill_one(lm, all, cache).argmax().item<std::int64_t>());
    all.push_back(out.back());
  }
  return out;
}

TEST_CASE("greedy answers are what prefilling anew for every token gives", "[model]") {
  for (const char* name : {"tiny-untied", "tiny-llama3rope"}) {
    const CausalLm lm = tiny(name);
    const GenerateResult result = run(lm, tokens(10));
    CHECK(result.tokens == naive_greedy(lm, kPrompt, 10));
    CHECK(result.stop_reason == StopReason::kMaxNewTokens);
    CHECK(result.prefill_logits.argmax().item<std::int64_t>() == result.tokens.front());
    CHECK(result.last_logits.argmax().item<std::int64_t>() == result.tokens.back());
    CHECK(result.cache_rows == Ids(static_cast<std::size_t>(lm.layers()), 9));
    CHECK(result.prefill_seconds > 0);
    CHECK(result.decode_seconds > 0);
  }
}

TEST_CASE("a step of the caller's decodes where no cache policy has a part in it", "[model]") {
  const CausalLm lm = tiny("tiny-untied");
  GenerateOptions options = tokens(6);
  const Ids expected = run(lm, options).tokens;
  int made = 0, steps = 0;
  options.decode_with = [&](const CausalLm& model, KvCache& cache) -> DecodeStep {
    ++made;
    return [&](std::int64_t token) {
      ++steps;
      return append_one(model, {token}, cache);
    };
  };
  const auto run_with = [&](AnyCachePolicy policy, std::int64_t count) {
    made = steps = 0;
    options.max_new_tokens = count;
    KvCache cache = lm.make_cache(1, 6);
    return generate(lm, kPrompt, cache, NoDistill{}, options, std::move(policy)).tokens;
  };
  CHECK(run_with({}, 6) == expected);
  CHECK((made == 1 && steps == 5));
  CHECK(run_with(SnapKv(), 6) == expected);  // it has no part in decode
  CHECK((made == 1 && steps == 5));
  CHECK(run_with(StreamingLlm(), 6) == expected);  // it may evict after every token
  CHECK((made == 0 && steps == 0));
  run_with({}, 1);  // no token to run
  CHECK(made == 0);
  options.decode_with = [](const CausalLm&, KvCache&) { return DecodeStep(); };
  CHECK(run_with({}, 6) == expected);
}

TEST_CASE("the repetition penalty covers the prompt and the answer so far", "[model]") {
  // transformers 4.50.0: generate(do_sample=False, repetition_penalty=...). The closest two scores
  // on the way are 0.005 apart.
  struct Expected {
    const char* model;
    double penalty;
    Ids tokens;
  };
  const Expected expected[] = {
      {"tiny-untied", 1.3, {26, 32, 57, 57, 36, 62, 50, 59, 0,  2,  40, 58,
                            18, 42, 10, 20, 3,  49, 48, 48, 27, 34, 46, 63}},
      {"tiny-untied", 2.0, {26, 32, 57, 51, 36, 62, 16, 59, 0,  35, 48, 56,
                            34, 37, 49, 7,  46, 38, 42, 30, 15, 28, 4,  19}},
      {"tiny-llama3rope", 1.3, {69, 62, 7,  94, 68, 3,  61, 12, 79, 68, 69, 31,
                                87, 44, 16, 48, 21, 46, 72, 81, 56, 57, 24, 45}},
      {"tiny-llama3rope", 2.0, {69, 62, 7,  94, 68, 3,  61, 12, 79, 29, 31, 41,
                                64, 44, 90, 6,  54, 19, 25, 47, 57, 67, 95, 75}}};
  for (const Expected& e : expected) {
    INFO(e.model << ", penalty " << e.penalty);
    GenerateOptions options = tokens(24);
    options.sampling.repetition_penalty = e.penalty;
    CHECK(run(tiny(e.model), options).tokens == e.tokens);
  }
}

TEST_CASE("an answer ends at the first of several stop tokens, which it includes", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  const Ids whole = run(lm, tokens(10)).tokens;
  GenerateOptions several = tokens(10);
  several.stop_ids = {whole[8], whole[6], whole[3], 95};
  CHECK(run(lm, several).tokens == Ids(whole.begin(), whole.begin() + 4));
  CHECK(load_stop_ids(tiny_folder("tiny-llama3rope")) == std::set<std::int64_t>{2, 3});
  for (const std::size_t at : {0, 1, 6}) {
    GenerateOptions options = tokens(10);
    options.stop_ids = {whole[at], 95};
    const GenerateResult result = run(lm, options);
    const auto first = std::find(whole.begin(), whole.end(), whole[at]);
    CHECK(result.tokens == Ids(whole.begin(), first + 1));
    CHECK(result.stop_reason == StopReason::kStopToken);
  }
}

TEST_CASE("a caller sees every token and may end the answer", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  const Ids whole = run(lm, tokens(10)).tokens;
  Ids seen;
  GenerateOptions options = tokens(10);
  options.on_token = [&](std::int64_t token) {
    seen.push_back(token);
    return seen.size() < 4;
  };
  const GenerateResult result = run(lm, options);
  CHECK(result.stop_reason == StopReason::kCaller);
  CHECK(result.tokens == Ids(whole.begin(), whole.begin() + 4));
  CHECK(seen == result.tokens);
  // A stop token counts before the caller's wish and the maximum.
  seen.clear();
  options.stop_ids = {whole[3]};
  CHECK(run(lm, options).stop_reason == StopReason::kStopToken);
  options.stop_ids = {};
  options.max_new_tokens = 4;
  seen.clear();
  CHECK(run(lm, options).stop_reason == StopReason::kCaller);
}

TEST_CASE("an answer ends at the context's end, its last token not run", "[model]") {
  const CausalLm lm = tiny("tiny-untied");  // 256 tokens
  std::mt19937_64 random(5);
  for (const std::int64_t length : {250, 255, 256}) {
    const Ids prompt = random_ids(random, length, 64);
    KvCache cache = lm.make_cache();
    const GenerateResult result = generate(lm, prompt, cache, NoDistill{}, tokens(100));
    CHECK(result.stop_reason == StopReason::kContext);
    CHECK(result.tokens.size() == static_cast<std::size_t>(256 - length + 1));
    CHECK(cache.next_position(0) == 256);
  }
  KvCache cache = lm.make_cache();
  CHECK(contains(
      message_of<c10::ValueError>([&] { generate(lm, random_ids(random, 257, 64), cache); }),
      "row 0 needs 257"));
}

TEST_CASE("the cache holds the prompt and all tokens but the last; a next turn goes on",
          "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  KvCache cache = lm.make_cache(1, 6);
  const GenerateResult result = generate(lm, kPrompt, cache, NoDistill{}, tokens(6));
  CHECK(cache.next_position(0) == 9 + 5);
  CHECK(cache.rows() == Ids(5, 14));
  CHECK(cache.bytes() == result.cache_bytes);  // the room sufficed
  const Ids turn{result.tokens.back(), 7, 8};
  Ids all = kPrompt;
  all.insert(all.end(), result.tokens.begin(), result.tokens.end());
  all.insert(all.end(), {7, 8});
  KvCache anew = lm.make_cache();
  CHECK(apart(append_one(lm, turn, cache), prefill_one(lm, all, anew)) < kTiny);
  CHECK(apart(cache, 0, anew, 0) < kTiny);
  CHECK(contains(message_of<c10::ValueError>([&] { generate(lm, kPrompt, cache); }),
                 "must start from an empty cache"));
}

TEST_CASE("one new token is a prefill alone", "[model]") {
  const CausalLm lm = tiny("tiny-untied");
  KvCache cache = lm.make_cache();
  const GenerateResult result = generate(lm, kPrompt, cache, NoDistill{}, tokens(1));
  CHECK(result.tokens == naive_greedy(lm, kPrompt, 1));
  CHECK(cache.next_position(0) == 9);
  CHECK(at::equal(result.prefill_logits, result.last_logits));
}

TEST_CASE("a seed gives the same answer, stages and truncation included", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  std::mt19937_64 random(6);
  const Ids prompt = random_ids(random, 80, 96);
  const auto answer = [&](std::uint64_t seed) {
    GenerateOptions options = tokens(20);
    options.sampling = {1.5, 40, 0.95, seed};
    KvCache cache = lm.make_cache();
    const GenerateResult result = generate(lm, prompt, cache, EveryNth{{1}, {1}, 4}, options);
    CHECK(result.cache_rows == Ids(5, 21));
    CHECK(result.stages.size() == 1);
    return result.tokens;
  };
  CHECK(answer(1) == answer(1));
  CHECK(answer(1) != answer(2));
}

TEST_CASE("what generate refuses", "[model]") {
  const CausalLm lm = tiny("tiny-untied");
  KvCache cache = lm.make_cache(), pair = lm.make_cache(2);
  const auto refusal = [&](const Ids& prompt, KvCache& into, const GenerateOptions& options) {
    return message_of<c10::ValueError>([&] { generate(lm, prompt, into, NoDistill{}, options); });
  };
  CHECK(refusal({}, cache, tokens(1)) ==
        "promptdistill: a prompt must have at least one token, got none");
  CHECK(refusal(kPrompt, cache, tokens(0)) ==
        "promptdistill: the number of new tokens must be at least 1, got 0");
  CHECK(contains(refusal(kPrompt, pair, tokens(1)), "the batch's 1 rows, got 4 and 2"));
  GenerateOptions bad = tokens(1);
  bad.sampling.top_p = 0;
  CHECK(contains(refusal(kPrompt, cache, bad), "top-p must be above 0"));
  CHECK(cache.rows() == Ids(4, 0));  // refused before anything ran
}

}  // namespace
}  // namespace promptdistill::test
