// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What a model refuses, what is left after something throws, and several threads on one model.

#include <thread>

#include "promptdistill/model/causal_lm.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"
#include "tests/io/tiny_lm.hpp"

namespace promptdistill::test {
namespace {

std::string value_error(const std::function<void()>& call) {
  return message_of<c10::ValueError>(call);
}

TEST_CASE("a prompt must be whole", "[model]") {
  const CausalLm lm = tiny("tiny-untied");
  KvCache cache = lm.make_cache(), pair = lm.make_cache(2);
  const auto prefill = [&](const at::Tensor& ids, const Ids& lengths, KvCache& into) {
    return value_error([&] { lm.prefill(ids, lengths, into); });
  };
  CHECK(prefill(tensor_of({}), {0}, cache) ==
        "promptdistill: a prompt must have at least one token, got none");
  CHECK(prefill(tensor_of({1, 2}), {2, 0}, pair) ==
        "promptdistill: a prompt must have at least one token, row 1 has 0");
  CHECK(prefill(tensor_of({1, 2}), {3, -1}, pair) ==
        "promptdistill: a prompt must have at least one token, row 1 has -1");
  CHECK(prefill(tensor_of({1, 2, 3}), {2}, cache) ==
        "promptdistill: the lengths must add up to the 3 token ids, got 2");
  CHECK(prefill(tensor_of({1, 2, 3}), {1, 1}, pair) ==
        "promptdistill: the lengths must add up to the 3 token ids, got 2");
  CHECK(contains(prefill(at::tensor({1, 2}, at::kInt), {2}, cache),
                 "token ids must be a one-dimensional int64 tensor"));
  CHECK(contains(prefill(tensor_of({1, 2}).view({1, 2}), {2}, cache),
                 "token ids must be a one-dimensional int64 tensor"));
  CHECK(contains(prefill({}, {2}, cache), "token ids must be a one-dimensional int64 tensor"));
  CHECK(cache.rows() == Ids(4, 0));
}

TEST_CASE("ids must be in the vocabulary", "[model]") {
  const CausalLm lm = tiny("tiny-untied");
  KvCache cache = lm.make_cache();
  for (const std::int64_t bad : {std::int64_t{-1}, std::int64_t{64}, INT64_MAX, INT64_MIN}) {
    CHECK(message_of<c10::IndexError>([&] {
            lm.prefill(tensor_of({0, bad, 63}), {3}, cache);
          }) == "promptdistill: token ids must be in [0, 64), got " + std::to_string(bad));
  }
  CHECK(cache.rows() == Ids(4, 0));
  prefill_one(lm, {0, 63}, cache);
  CHECK(message_of<c10::IndexError>([&] { append_one(lm, {64}, cache); }) ==
        "promptdistill: token ids must be in [0, 64), got 64");
  CHECK(cache.rows() == Ids(4, 2));
}

TEST_CASE("a cache must fit the model and the batch, and be empty for a prefill", "[model]") {
  const CausalLm lm = tiny("tiny-untied");
  KvCache pair = lm.make_cache(2), deep(5), cache = lm.make_cache();
  CHECK(value_error([&] {
          lm.prefill(tensor_of({1, 2}), {2}, pair);
        }) ==
        "promptdistill: the cache must have the model's 4 layers and the batch's 1 rows, got 4 and "
        "2");
  CHECK(value_error([&] {
          lm.prefill(tensor_of({1, 2}), {1, 1}, cache);
        }) ==
        "promptdistill: the cache must have the model's 4 layers and the batch's 2 rows, got 4 and "
        "1");
  CHECK(value_error([&] {
          lm.append(tensor_of({1, 2}), {2}, deep);
        }) ==
        "promptdistill: the cache must have the model's 4 layers and the batch's 1 rows, got 5 and "
        "1");
  CHECK(contains(value_error([&] { lm.prefill(tensor_of({1}), {}, cache); }), "0 rows"));
  prefill_one(lm, {1, 2, 3}, cache);
  CHECK(value_error([&] {
          lm.prefill(tensor_of({1, 2}), {2}, cache);
        }) ==
        "promptdistill: a prefill must start from an empty cache, row 0 holds 3 tokens; append() "
        "goes "
        "on from a cache");
  CHECK(cache.next_position(0) == 3);
}

TEST_CASE("the context is a bound, met but not passed", "[model]") {
  const CausalLm lm = tiny("tiny-untied");  // 256 tokens
  std::mt19937_64 random(1);
  const Ids long_one = random_ids(random, 257, 64);
  KvCache cache = lm.make_cache();
  CHECK(value_error([&] { prefill_one(lm, long_one, cache); }) ==
        "promptdistill: a prompt must fit the model's context of 256 tokens, row 0 needs 257");
  prefill_one(lm, Ids(long_one.begin(), long_one.end() - 2), cache);
  append_one(lm, {1}, cache);
  CHECK(cache.next_position(0) == 256);
  CHECK(value_error([&] { append_one(lm, {1}, cache); }) ==
        "promptdistill: a prompt must fit the model's context of 256 tokens, row 0 needs 257");
  KvCache full = lm.make_cache();
  CHECK(prefill_one(lm, Ids(long_one.begin(), long_one.end() - 1), full)
            .isfinite()
            .all()
            .item<bool>());
  // It counts what was run, not the rows that are left.
  KvCache cut = lm.make_cache();
  prefill_one(lm, Ids(long_one.begin(), long_one.end() - 1), cut, EveryNth{{0}, {0}, 100});
  CHECK(cut.rows() == Ids(4, 4));
  CHECK(contains(value_error([&] { append_one(lm, {1}, cut); }), "row 0 needs 257"));
}

TEST_CASE("prompts of one and two tokens run under any policy", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  for (const Ids& ids : {Ids{7}, Ids{7, 8}}) {
    KvCache plain = lm.make_cache();
    const at::Tensor expected = prefill_one(lm, ids, plain);
    for (const auto scorer : {ScorerKind::kLast, ScorerKind::kWindow}) {
      DistillOptions setting;
      setting.scorer = scorer;
      setting.stages = {{0, Count{1}}, {3, Ratio{0.01}}};
      setting.truncated_stages = kTruncateAll;
      KvCache cache = lm.make_cache();
      CHECK(at::equal(prefill_one(lm, ids, cache, make_distiller(setting)), expected));
      CHECK(apart(cache, 0, plain, 0) == 0);
    }
  }
  KvCache cache = lm.make_cache();  // a policy may keep the last token alone
  prefill_one(lm, {7, 8, 9}, cache, EveryNth{{0}, {0}, 3});
  CHECK(cache.rows() == Ids(5, 2));
}

TEST_CASE("a policy that does not fit the model is refused on entry", "[model]") {
  const CausalLm lm = tiny("tiny-untied");
  KvCache cache = lm.make_cache();
  DistillOptions setting;
  setting.stages = {{3, Count{1}}};
  CHECK(contains(
      message_of<c10::IndexError>([&] { prefill_one(lm, {1}, cache, make_distiller(setting)); }),
      "a stage must come before the last layer (3), where selecting saves nothing, got 3"));
  setting.stages = {{1, Count{1}}};
  setting.heads = {{1, {4}}};
  CHECK(contains(
      message_of<c10::IndexError>([&] { prefill_one(lm, {1}, cache, make_distiller(setting)); }),
      "the model has query heads 0 to 3, got 4 for layer 1"));
  CHECK(cache.rows() == Ids(4, 0));
}

struct Stop : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Throwing : EveryNth {
  Selection select(const LayerProbe&) const { throw Stop("policy"); }
};

struct ThrowingEviction {
  std::int64_t layer;
  void evict(const CacheProbe& probe, LayerCache&) const {
    if (probe.layer == layer) throw Stop("eviction");
  }
};

TEST_CASE("what throws in mid-prefill leaves the model as it was, and the cache refused",
          "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  const Ids ids = range(10, 40);
  KvCache plain = lm.make_cache();
  const at::Tensor expected = prefill_one(lm, ids, plain);
  PrefillOptions stopping;
  stopping.progress = [](const PrefillProgress& at) {
    if (at.layer == 3) throw Stop("progress");
  };
  KvCache a = lm.make_cache(), b = lm.make_cache(), c = lm.make_cache();
  CHECK(message_of<Stop>([&] { prefill_one(lm, ids, a, Throwing{{{2}, {2}, 3}}); }) == "policy");
  CHECK(message_of<Stop>([&] { prefill_one(lm, ids, b, NoDistill{}, stopping); }) == "progress");
  CHECK(message_of<Stop>([&] { prefill_one(lm, ids, c, NoDistill{}, {}, ThrowingEviction{2}); }) ==
        "eviction");
  for (KvCache* cache : {&a, &b, &c}) {
    CHECK(cache->next_position(0) == 0);
    CHECK(contains(value_error([&] { prefill_one(lm, ids, *cache); }),
                   "must start from an empty cache"));
    CHECK(value_error([&] { append_one(lm, ids, *cache); }) != "nothing was thrown");
    KvCache fresh = lm.make_cache();
    CHECK(at::equal(prefill_one(lm, ids, fresh), expected));
  }
}

TEST_CASE("an append that throws leaves a cache that refuses to go on wrongly", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  KvCache cache = lm.make_cache();
  prefill_one(lm, range(10, 20), cache);
  CHECK(message_of<Stop>([&] { append_one(lm, {5}, cache, ThrowingEviction{2}); }) == "eviction");
  CHECK(cache.next_position(0) == 10);
  CHECK(value_error([&] { append_one(lm, {5}, cache); }) != "nothing was thrown");
}

TEST_CASE("progress is told every layer and the tokens alive there", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  Ids layers, tokens;
  PrefillOptions options;
  options.progress = [&](const PrefillProgress& at) {
    CHECK(at.layers == 5);
    layers.push_back(at.layer);
    tokens.push_back(at.tokens);
  };
  KvCache cache = lm.make_cache();
  prefill_one(lm, range(0, 30), cache, EveryNth{{1, 3}, {}, 3}, options);
  CHECK(layers == range(0, 5));
  CHECK(tokens == Ids{30, 30, 11, 11, 5});
}

TEST_CASE("NaN in a weight is found at the scores of the next stage, by layer", "[model]") {
  CausalLm lm = tiny("tiny-llama3rope");
  lm.model.layers[1].mlp.down_proj.weight = lm.model.layers[1].mlp.down_proj.weight.clone();
  lm.model.layers[1].mlp.down_proj.weight[0][0] = std::nan("");
  const auto scorer = GENERATE(ScorerKind::kLast, ScorerKind::kWindow);
  const auto placement = GENERATE(Placement::kBefore, Placement::kAfter);
  DistillOptions setting;
  setting.scorer = scorer;
  setting.stages = {{1, Count{5}}, {2, Count{3}}};
  KvCache cache = lm.make_cache(), other = lm.make_cache();
  CHECK(value_error([&] {
          prefill_one(lm, range(0, 40), cache, make_distiller(setting), placed(placement));
        }) ==
        "promptdistill: the scores at layer 2 must be finite, got NaN or infinity; the model's "
        "queries or keys overflow or hold NaN");
  Sampler sampler{SamplingOptions{}};
  const at::Tensor logits = prefill_one(lm, range(0, 40), other);
  CHECK(contains(value_error([&] { sampler(logits); }), "logits must be numbers, got NaN"));
  KvCache third = lm.make_cache();
  CHECK(contains(value_error([&] { generate(lm, range(0, 40), third); }),
                 "logits must be numbers, got NaN"));
}

TEST_CASE("threads share a model, each with its own cache", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  DistillOptions setting;
  setting.scorer = ScorerKind::kWindow;
  setting.stages = {{1, Count{20}}, {3, Count{6}}};
  setting.truncated_stages = kTruncateAll;
  const AnyDistiller policy = make_distiller(setting);
  const auto answer = [&](int which) {
    at::set_num_threads(1);
    std::mt19937_64 random(static_cast<std::uint64_t>(which));
    GenerateOptions options;
    options.max_new_tokens = 12;
    options.sampling.temperature = 1;
    options.sampling.seed = static_cast<std::uint64_t>(which);
    KvCache cache = lm.make_cache(1, 12);
    const GenerateResult result = generate(lm, random_ids(random, 120, 96), cache, policy, options);
    return std::pair(result.tokens, result.last_logits.clone());
  };
  std::vector<std::pair<Ids, at::Tensor>> expected, got(4);
  for (int t = 0; t < 4; ++t) expected.push_back(answer(t));
  for (int round = 0; round < 3; ++round) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&, t] { got[static_cast<std::size_t>(t)] = answer(t); });
    for (std::thread& thread : threads) thread.join();
    for (std::size_t t = 0; t < 4; ++t) {
      CHECK(got[t].first == expected[t].first);
      CHECK(at::equal(got[t].second, expected[t].second));
    }
  }
}

}  // namespace
}  // namespace promptdistill::test
