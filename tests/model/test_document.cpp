// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A document that is read once and asked often, against one prompt of both.

#include <ATen/Parallel.h>
#include <malloc.h>

#include <limits>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "examples/common/memory_meter.hpp"
#include "promptdistill/model.hpp"
#include "promptdistill/promptdistill.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"
#include "tests/io/tiny_lm.hpp"
#include "tests/real_model.hpp"

namespace promptdistill::test {
namespace {

using Catch::Matchers::Contains;
using Lengths = std::vector<std::int64_t>;

CausalLm load_tiny(const std::string& name) {
  if (name.starts_with("tiny")) return tiny(name);
  at::set_num_threads(1);
  LoadOptions options;
  options.device = test_device();
  options.dtype = at::kFloat;
  const TempDir folder;  // what is mapped outlives it
  assemble_family(name, folder.path());
  return load_causal_lm(folder.path(), options);
}

DistillOptions staged(std::vector<Stage> stages, std::int64_t truncated) {
  DistillOptions options;
  options.stages = std::move(stages);
  options.truncated_stages = truncated;
  return options;
}

std::int64_t length(const Ids& ids) { return static_cast<std::int64_t>(ids.size()); }

Ids operator+(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Prefilled {
  KvCache cache;
  PrefillResult result;
};

template <class Policy>
Prefilled ask(const Document& document,
              const Ids& question,
              const Policy& policy,
              std::int64_t room = 4,
              const PrefillOptions& options = {}) {
  KvCache cache = document.model().make_cache(1, room);
  PrefillResult result =
      document.prefill(tensor_of(question), {length(question)}, cache, policy, options);
  return {std::move(cache), std::move(result)};
}

/// One prefill of the whole prompt, which rotary embeddings take for as long as the document's.
template <class Policy>
Prefilled at_once(const CausalLm& lm,
                  const Ids& ids,
                  std::int64_t total,
                  const Policy& policy,
                  PrefillOptions options = {}) {
  KvCache cache = lm.make_cache(1, 4);
  options.max_new_tokens = total - length(ids);
  PrefillResult result = lm.prefill(tensor_of(ids), {length(ids)}, cache, policy, options);
  return {std::move(cache), std::move(result)};
}

void check_same(const CausalLm& lm, Prefilled& got, Prefilled& expected, double bound) {
  REQUIRE(got.result.stages.size() == expected.result.stages.size());
  for (std::size_t s = 0; s < got.result.stages.size(); ++s) {
    CHECK(got.result.stages[s].layer == expected.result.stages[s].layer);
    CHECK(at::equal(got.result.stages[s].kept_positions, expected.result.stages[s].kept_positions));
  }
  CHECK(apart(lm.logits(got.result.last_hidden), lm.logits(expected.result.last_hidden)) < bound);
  CHECK(apart(got.cache, 0, expected.cache, 0) < bound);
  for (const Ids& next : {Ids{3}, Ids{5, 1, 4}})  // decoding, a next turn
    CHECK(apart(append_one(lm, next, got.cache), append_one(lm, next, expected.cache)) < bound);
  CHECK(apart(got.cache, 0, expected.cache, 0) < bound);
}

TEST_CASE("a question gets what one prompt of document and question gets", "[model]") {
  const std::string name =
      GENERATE("tiny-untied", "tiny-llama3rope", "llama-linear", "llama-dynamic", "llama-yarn",
               "llama-longrope", "mistral", "phi3", "phi3-partial", "qwen2", "qwen3");
  const CausalLm lm = load_tiny(name);
  std::mt19937_64 random(41);
  const Ids text = random_ids(random, 60, lm.config.vocab_size),
            question = random_ids(random, 9, lm.config.vocab_size);
  const std::int64_t total = 128;  // all RoPE that depends on the length depends on this one
  const std::int64_t last = lm.layers() - 2;  // a stage lies before the last layer
  for (const std::int64_t layer : {std::int64_t{0}, std::int64_t{1}, last}) {
    const Document document = Document::read(lm, tensor_of(text), layer, total);
    CHECK(document.tokens() == 60);
    CHECK(document.layer() == layer);
    std::vector<std::vector<Stage>> schedules{{}, {{layer, Count{20}}}};
    if (layer < last) schedules.push_back({{layer, Count{40}}, {last, Count{10}}});
    if (layer + 1 < last)
      schedules.push_back({{layer, Count{40}}, {layer + 1, Count{30}}, {last, Count{10}}});
    if (layer < last) schedules.push_back({{last, Count{30}}});  // behind where it was read to
    for (const std::vector<Stage>& stages : schedules) {
      for (std::int64_t truncated = 0; truncated <= std::ssize(stages); ++truncated) {
        for (const Placement placement : {Placement::kBefore, Placement::kAfter}) {
          INFO(name << ", read to layer " << layer << ", " << stages.size() << " stages, "
                    << truncated << " truncated, "
                    << (placement == Placement::kBefore ? "before" : "after"));
          const AnyDistiller policy = make_distiller(staged(stages, truncated));
          Prefilled got = ask(document, question, policy, 4, placed(placement)),
                    expected = at_once(lm, text + question, total, policy, placed(placement));
          check_same(lm, got, expected, kTiny);
        }
      }
    }
  }
}

TEST_CASE("chunks change nothing of a document and its questions", "[model]") {
  const std::string name = GENERATE("tiny-llama3rope", "llama-longrope", "mistral");
  const CausalLm lm = load_tiny(name);
  std::mt19937_64 random(42);
  const Ids text = random_ids(random, 61, lm.config.vocab_size),
            question = random_ids(random, 23, lm.config.vocab_size);
  const AnyDistiller policy = make_distiller(staged({{1, Count{30}}, {2, Count{9}}}, 1));
  PrefillOptions chunks;
  chunks.prefill_chunk = 8;
  const Document document = Document::read(lm, tensor_of(text), 1, 100, chunks);
  Prefilled got = ask(document, question, policy, 4, chunks),
            expected = at_once(lm, text + question, 100, policy);
  check_same(lm, got, expected, kTiny);
}

TEST_CASE("questions in one batch get what each gets alone", "[model]") {
  const std::string name = GENERATE("tiny-untied", "phi3");
  const CausalLm lm = load_tiny(name);
  std::mt19937_64 random(43);
  const Ids text = random_ids(random, 50, lm.config.vocab_size);
  const Document document = Document::read(lm, tensor_of(text), 1, 80);
  const AnyDistiller policy = make_distiller(staged({{1, Count{20}}, {2, Count{9}}}, 1));
  std::vector<Ids> questions;
  Ids packed;
  Lengths lengths;
  for (const std::int64_t count : {7, 1, 12}) {
    questions.push_back(random_ids(random, count, lm.config.vocab_size));
    packed = packed + questions.back();
    lengths.push_back(count);
  }
  KvCache cache = lm.make_cache(3, 4);
  const PrefillResult result = document.prefill(tensor_of(packed), lengths, cache, policy);
  for (std::int64_t b = 0; b < 3; ++b) {
    Prefilled alone = ask(document, questions[static_cast<std::size_t>(b)], policy);
    CHECK(apart(lm.logits(result.last_hidden)[b], lm.logits(alone.result.last_hidden)[0]) < kTiny);
    CHECK(apart(cache, b, alone.cache, 0) < kTiny);
    for (std::size_t s = 0; s < 2; ++s) {
      const StageRecord& stage = result.stages[s];
      const auto row = static_cast<std::size_t>(b);
      CHECK(at::equal(stage.kept_positions.narrow(0, stage.offsets[row],
                                                  stage.offsets[row + 1] - stage.offsets[row]),
                      alone.result.stages[s].kept_positions));
    }
  }
}

TEST_CASE("an extended document is a longer one, and its forks do not see it", "[model]") {
  const std::string name = GENERATE("tiny-untied", "phi3", "mistral");
  const std::int64_t layer = GENERATE(0, 2);
  const CausalLm lm = load_tiny(name);
  std::mt19937_64 random(44);
  const Ids text = random_ids(random, 70, lm.config.vocab_size),
            question = random_ids(random, 6, lm.config.vocab_size);
  const AnyDistiller policy = make_distiller(staged({{layer, Count{25}}}, 0));
  Document document = Document::read(lm, tensor_of({text.begin(), text.begin() + 31}), layer, 90);
  const Document first = document.fork();
  CHECK(first.bytes() == document.bytes());
  for (std::int64_t end = 31; end < 70; end += 13)
    document.extend(tensor_of({text.begin() + end, text.begin() + end + 13}));
  CHECK(document.tokens() == 70);
  CHECK(ids_of(document.ids()) == text);
  CHECK(first.tokens() == 31);
  Prefilled got = ask(document, question, policy),
            expected = at_once(lm, text + question, 90, policy);
  check_same(lm, got, expected, kTiny);
  Prefilled of_first = ask(first, question, policy),
            alone = at_once(lm, Ids{text.begin(), text.begin() + 31} + question, 90, policy);
  check_same(lm, of_first, alone, kTiny);
  const Document whole = Document::read(lm, tensor_of(text), layer, 90);
  CHECK(document.bytes() == whole.bytes());
  const auto too_long = [&] { document.extend(tensor_of(text)); };
  CHECK_THAT(message_of<c10::ValueError>(too_long), Contains("max_total_tokens of 90"));
  CHECK(document.tokens() == 70);
}

TEST_CASE("a conversation selects anew from the document, or goes on from what was kept",
          "[model]") {
  const CausalLm lm = tiny("tiny-untied");
  std::mt19937_64 random(45);
  const Ids text = random_ids(random, 50, lm.config.vocab_size),
            question = random_ids(random, 7, lm.config.vocab_size),
            second = random_ids(random, 5, lm.config.vocab_size);
  const AnyDistiller policy = make_distiller(staged({{1, Count{20}}}, 1));
  GenerateOptions options;
  options.max_new_tokens = 6;
  Document document = Document::read(lm, tensor_of(text), 1, 100);
  KvCache cache = lm.make_cache(1, 30), plain = lm.make_cache(1, 30);
  const GenerateResult answer = document.ask(question, cache, policy, options);
  CHECK(answer.tokens == generate(lm, text + question, plain, policy, options).tokens);
  // The last token is not in the cache: the next turn begins with it.
  const Ids next = Ids{answer.tokens.back()} + second;
  CHECK(apart(append_one(lm, next, cache), append_one(lm, next, plain)) < kTiny);
  CHECK(cache.next_position(0) == 50 + 7 + 6 + 5);
  // Anew: all that was said is part of the document then.
  document.extend(tensor_of(question + answer.tokens));
  Prefilled got = ask(document, second, policy),
            expected = at_once(lm, text + question + answer.tokens + second, 100, policy);
  check_same(lm, got, expected, kTiny);
}

TEST_CASE("a document counts its bytes, and questions share them", "[model]") {
  const CausalLm lm = tiny("tiny-untied");
  std::mt19937_64 random(46);
  const Ids text = random_ids(random, 50, lm.config.vocab_size);
  const std::int64_t layer = 2, tokens = 50;
  const Document document = Document::read(lm, tensor_of(text), layer, 80);
  const auto row =
      static_cast<std::size_t>(2 * lm.config.num_key_value_heads * lm.config.head_dim * 4 + 8);
  const auto cached = static_cast<std::size_t>((layer + 1) * tokens) * row,
             others = static_cast<std::size_t>(tokens * (lm.config.hidden_size * 4 + 8 + 8));
  CHECK(document.bytes() == cached + others);
  const Prefilled full = ask(document, {1, 2, 3}, make_distiller(staged({{2, Count{10}}}, 0)), 0);
  CHECK(full.cache.frozen_bytes() == cached);
  CHECK(full.cache.at(0, 0).frozen()[0].keys.const_data_ptr() ==
        ask(document, {4}, NoDistill{}).cache.at(0, 0).frozen()[0].keys.const_data_ptr());
  const Prefilled cut = ask(document, {1, 2, 3}, make_distiller(staged({{2, Count{10}}}, 1)), 0);
  CHECK(cut.cache.frozen_bytes() == 0);
}

TEST_CASE("a document in int8 is smaller, nearly the same, and extends", "[model]") {
  const std::string name = GENERATE("tiny-untied", "mistral");
  const CausalLm lm = load_tiny(name);
  std::mt19937_64 random(49);
  const Ids text = random_ids(random, 60, lm.config.vocab_size),
            question = random_ids(random, 7, lm.config.vocab_size);
  const Document whole = Document::read(lm, tensor_of(text), 2, 90);
  Document small = whole.fork();
  small.to_int8();
  CHECK(small.is_int8());
  CHECK_FALSE(whole.is_int8());
  const auto row = static_cast<std::size_t>(2 * lm.config.num_key_value_heads);
  const auto elements = row * static_cast<std::size_t>(lm.config.head_dim);
  CHECK(whole.bytes() - small.bytes() == 2 * 60 * (elements * 3 - row * sizeof(float)));
  Document longer = Document::read(lm, tensor_of({text.begin(), text.begin() + 50}), 2, 90);
  longer.to_int8();
  longer.extend(tensor_of({text.begin() + 50, text.end()}));
  CHECK(longer.bytes() == small.bytes());
  for (const std::int64_t truncated : {0, 1}) {
    const AnyDistiller policy = make_distiller(staged({{2, Count{67}}}, truncated));
    const Prefilled expected = ask(whole, question, policy);
    for (const Document* document : {&small, &longer}) {
      Prefilled got = ask(*document, question, policy);
      const double far =
          apart(lm.logits(got.result.last_hidden), lm.logits(expected.result.last_hidden));
      CHECK(far > 0);
      CHECK(far < 0.05);
      append_one(lm, {3, 4}, got.cache);
      append_one(lm, {5}, got.cache);
    }
  }
}

TEST_CASE("a document refuses what does not fit and stays as it was", "[model]") {
  const CausalLm lm = tiny("tiny-untied");
  const Ids text = range(1, 21);
  const auto read = [&](const Ids& ids, std::int64_t layer, std::int64_t total) {
    return [&lm, ids, layer, total] { Document::read(lm, tensor_of(ids), layer, total); };
  };
  CHECK_THAT(message_of<c10::IndexError>(read(text, lm.layers(), 30)), Contains("layers 0 to"));
  CHECK_THAT(message_of<c10::IndexError>(read(text, -1, 30)), Contains("got -1"));
  CHECK_THAT(message_of<c10::ValueError>(read(text, 1, 19)), Contains("max_total_tokens of 19"));
  CHECK_THAT(message_of<c10::ValueError>(read(text, 1, lm.config.context() + 1)),
             Contains("must fit the model's context"));
  CHECK_THROWS_AS(read({}, 1, 30)(), c10::ValueError);
  CHECK_THROWS_AS(read({lm.config.vocab_size}, 1, 30)(), c10::IndexError);
  const Document document = Document::read(lm, tensor_of(text), 1, 30);
  const auto asked = [&](const Ids& ids, const Lengths& lengths, std::int64_t room,
                         const AnyDistiller& policy) {
    return [&document, &lm, ids, lengths, room, policy] {
      KvCache cache = lm.make_cache(std::ssize(lengths), room);
      document.prefill(tensor_of(ids), lengths, cache, policy);
    };
  };
  const AnyDistiller keep = make_distiller({});
  CHECK_THAT(message_of<c10::ValueError>(asked(range(0, 6), {6}, 5, keep)),
             Contains("max_total_tokens of 30 that it was read for, got 5 behind 26"));
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  CHECK_THAT(message_of<c10::ValueError>(asked({1}, {kMost}, 0, keep)), Contains("got 9223"));
  CHECK_THAT(message_of<c10::ValueError>(asked({1}, {-1}, 0, keep)), Contains("negative, got -1"));
  PrefillOptions endless;
  for (const auto& [tokens, words] :
       {std::pair{kMost, "got 9223"}, std::pair{std::int64_t{-1}, "negative, got -1"}}) {
    endless.max_new_tokens = tokens;
    KvCache cache = lm.make_cache();
    CHECK_THAT(message_of<c10::ValueError>(
                   [&] { document.prefill(tensor_of({1}), {1}, cache, keep, endless); }),
               Contains(words));
  }
  CHECK_THAT(
      message_of<c10::ValueError>(asked({1}, {1}, 0, make_distiller(staged({{0, Count{5}}}, 0)))),
      Contains("cannot be finished by a policy that selects at layer 0"));
  CHECK_THROWS_AS(asked({}, {0}, 0, keep)(), c10::ValueError);
  CHECK_THROWS_AS(asked({1, 2}, {1}, 0, keep)(), c10::ValueError);
  CHECK_THROWS_AS(asked({-1}, {1}, 0, keep)(), c10::IndexError);
  KvCache used = lm.make_cache();
  prefill_one(lm, {1, 2}, used);
  CHECK_THAT(message_of<c10::ValueError>(
                 [&] { document.prefill(tensor_of({1}), {1}, used, NoDistill{}); }),
             Contains("empty cache"));
  CHECK(used.next_position(0) == 2);
  KvCache other(lm.layers() + 1);
  CHECK_THROWS_AS(document.prefill(tensor_of({1}), {1}, other, NoDistill{}), c10::ValueError);
  Prefilled got = ask(document, {1, 2}, keep), expected = at_once(lm, text + Ids{1, 2}, 30, keep);
  check_same(lm, got, expected, kTiny);
}

TEST_CASE("eight threads that ask one document get what one gets", "[model]") {
  const CausalLm lm = tiny("tiny-untied");
  std::mt19937_64 random(47);
  const Document document =
      Document::read(lm, tensor_of(random_ids(random, 64, lm.config.vocab_size)), 1, 120);
  const AnyDistiller policy = make_distiller(staged({{1, Count{20}}}, 0));
  std::vector<Ids> questions;
  for (std::int64_t i = 0; i < 64; ++i)
    questions.push_back(random_ids(random, 1 + i % 9, lm.config.vocab_size));
  GenerateOptions options;
  options.max_new_tokens = 5;
  const auto answer = [&](std::size_t i) {
    KvCache cache = lm.make_cache(1, 5);
    GenerateResult result = document.ask(questions[i], cache, policy, options);
    return std::pair(result.tokens, result.last_logits);
  };
  std::vector<std::pair<Ids, at::Tensor>> expected, got(questions.size());
  for (std::size_t i = 0; i < questions.size(); ++i) expected.push_back(answer(i));
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      at::set_num_threads(1);
      for (std::size_t i = t; i < questions.size(); i += 8) got[i] = answer(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < questions.size(); ++i) {
    CHECK(got[i].first == expected[i].first);
    CHECK(at::equal(got[i].second, expected[i].second));
  }
}

/// A thousand questions, then a thousand that must leave memory as it was.
void ask_two_thousand(const CausalLm& lm, std::int64_t tokens, std::int64_t layer) {
  std::mt19937_64 random(50);
  const Ids text = random_ids(random, tokens, lm.config.vocab_size);
  Document document = Document::read(lm, tensor_of(text), layer, tokens + 60);
  const AnyDistiller cut = make_distiller(staged({{layer, Count{tokens / 3}}}, 1)),
                     whole = make_distiller(staged({{layer, Count{tokens / 3}}}, 0));
  GenerateOptions options;
  options.max_new_tokens = 4;
  const auto ask_some = [&] {
    for (int i = 0; i < 1000; ++i) {
      KvCache cache = lm.make_cache(1, 4);
      document.ask(random_ids(random, 1 + i % 7, lm.config.vocab_size), cache,
                   i % 2 == 0 ? cut : whole, options);
      if (i % 10 == 0) document.fork().extend(tensor_of({1, 2, 3}));
    }
  };
  const examples::MemoryMeter meter;
  ask_some();
  CHECK(meter.bytes() == 0);  // tensors
  const auto used = [] { return static_cast<std::int64_t>(::mallinfo2().uordblks); };
  const std::int64_t before = used();
  ask_some();
  CHECK(used() - before < 100000);  // all else: under 100 bytes a question
}

TEST_CASE("two thousand questions leave memory as it was", "[model]") {
  ask_two_thousand(tiny("tiny-untied"), 60, 1);
}

// Minutes long, and the same code as above: run by its name.
TEST_CASE("two thousand questions to SmolLM2 leave memory as it was", "[.day]") {
  const auto folder = real_model();
  if (!folder) return;
  ask_two_thousand(load_causal_lm(*folder), 1000, 14);
}

TEST_CASE("questions about 4,000 tokens of SmolLM2 get what one prompt gets", "[real]") {
  const auto folder = real_model();
  if (!folder) return;
  LoadOptions load;
  load.dtype = at::kFloat;
  load.device = test_device();
  const CausalLm lm = load_causal_lm(*folder, load);
  std::mt19937_64 random(48);
  const Ids text = random_ids(random, 4000, lm.config.vocab_size),
            question = random_ids(random, 20, lm.config.vocab_size);
  const AnyDistiller policy = make_distiller(staged({{14, Count{256}}}, 0));
  const Document document = Document::read(lm, tensor_of(text), 14, 4100);
  Prefilled got = ask(document, question, policy),
            expected = at_once(lm, text + question, 4100, policy);
  check_same(lm, got, expected, 1e-3);
}

}  // namespace
}  // namespace promptdistill::test
