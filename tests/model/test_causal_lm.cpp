// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The forward pass as properties: batches, placements, covering budgets, chunks and turns.

#include "promptdistill/model/causal_lm.hpp"
#include "tests/catch.hpp"
#include "tests/io/tiny_lm.hpp"

namespace promptdistill::test {
namespace {

/// Every scorer with every number of truncated stages, on two stages.
std::vector<DistillOptions> settings() {
  std::vector<DistillOptions> out;
  for (const int scorer : {0, 1, 2}) {
    for (const std::int64_t truncated : {std::int64_t{0}, std::int64_t{1}, kTruncateAll}) {
      DistillOptions options;
      options.stages = {{0, Ratio{0.6}}, {2, Count{5}}};
      options.truncated_stages = truncated;
      options.protect_first = scorer;
      if (scorer > 0) {
        options.scorer = ScorerKind::kWindow;
        options.window = 4;
      }
      if (scorer == 2) options.heads = {{0, {1, 3}}, {2, {0}}};
      out.push_back(options);
    }
  }
  return out;
}

struct Batch {
  std::vector<Ids> rows;
  Ids ids, lengths;
};

Batch random_batch(std::mt19937_64& random,
                   const CausalLm& lm,
                   std::int64_t rows,
                   std::int64_t longest) {
  Batch batch;
  for (std::int64_t b = 0; b < rows; ++b) {
    const auto length =
        1 + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(longest));
    batch.rows.push_back(random_ids(random, length, lm.config.vocab_size));
    batch.ids.insert(batch.ids.end(), batch.rows.back().begin(), batch.rows.back().end());
    batch.lengths.push_back(length);
  }
  return batch;
}

TEST_CASE("a row of a ragged batch is the same prompt alone, in prefill and decode", "[model]") {
  const std::string name = GENERATE("tiny-untied", "tiny-llama3rope");
  const auto placement = GENERATE(Placement::kBefore, Placement::kAfter);
  const CausalLm lm = tiny(name);
  std::mt19937_64 random(11);
  for (const DistillOptions& setting : settings()) {
    const AnyDistiller policy = make_distiller(setting);
    const Batch batch = random_batch(random, lm, 4, 45);
    KvCache cache = lm.make_cache(4, 1);
    const PrefillResult result =
        lm.prefill(tensor_of(batch.ids), batch.lengths, cache, policy, placed(placement));
    const at::Tensor logits = lm.logits(result.last_hidden);
    // A next turn of another length in every row.
    const Batch turn = random_batch(random, lm, 4, 5);
    KvCache after = cache.fork();
    const at::Tensor turn_logits = lm.logits(lm.append(tensor_of(turn.ids), turn.lengths, after));
    for (std::size_t b = 0; b < batch.rows.size(); ++b) {
      const auto row = static_cast<std::int64_t>(b);
      INFO("row " << b << " of " << batch.lengths[b] << " tokens");
      KvCache alone = lm.make_cache(1, 1);
      const PrefillResult single = lm.prefill(tensor_of(batch.rows[b]), {batch.lengths[b]}, alone,
                                              policy, placed(placement));
      CHECK(apart(logits[row], lm.logits(single.last_hidden)[0]) < kTiny);
      CHECK(apart(cache, row, alone, 0) < kTiny);
      REQUIRE(single.stages.size() == result.stages.size());
      for (std::size_t s = 0; s < single.stages.size(); ++s) {
        const StageRecord& stage = result.stages[s];
        CHECK(ids_of(single.stages[s].kept_positions) ==
              ids_of(stage.kept_positions.slice(0, stage.offsets[b], stage.offsets[b + 1])));
      }
      CHECK(apart(turn_logits[row], append_one(lm, turn.rows[b], alone)) < kTiny);
      CHECK(apart(after, row, alone, 0) < kTiny);
    }
  }
}

TEST_CASE("selecting before attention equals selecting after the layer", "[model]") {
  const std::string name = GENERATE("tiny-untied", "tiny-llama3rope");
  const CausalLm lm = tiny(name);
  std::mt19937_64 random(12);
  for (const DistillOptions& setting : settings()) {
    for (const std::int64_t length : {1, 2, 3, 9, 70}) {
      const AnyDistiller policy = make_distiller(setting);
      const Ids ids = random_ids(random, length, lm.config.vocab_size);
      KvCache a = lm.make_cache(), b = lm.make_cache();
      const at::Tensor before = prefill_one(lm, ids, a, policy, placed(Placement::kBefore));
      const at::Tensor after = prefill_one(lm, ids, b, policy, placed(Placement::kAfter));
      INFO(length << " tokens");
      CHECK(apart(before, after) < kTiny);
      CHECK(apart(a, 0, b, 0) < kTiny);
    }
  }
}

TEST_CASE("a budget that covers the prompt is no stage at all, bit for bit", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  const auto placement = GENERATE(Placement::kBefore, Placement::kAfter);
  std::mt19937_64 random(13);
  for (const std::int64_t length : {1, 2, 40}) {
    const Ids ids = random_ids(random, length, lm.config.vocab_size);
    KvCache plain = lm.make_cache(1, 3);
    const at::Tensor expected = prefill_one(lm, ids, plain);
    for (const Budget budget : {Budget(Count{1000}), Budget(Count{39}), Budget(Ratio{1.0})}) {
      for (DistillOptions setting : settings()) {
        setting.stages = {{0, budget}, {3, budget}};
        KvCache cache = lm.make_cache(1, 3);
        CHECK(at::equal(prefill_one(lm, ids, cache, make_distiller(setting), placed(placement)),
                        expected));
        CHECK(apart(cache, 0, plain, 0) == 0);
        CHECK(cache.bytes() == plain.bytes());
      }
    }
  }
}

TEST_CASE("tokens appended at once equal tokens one by one", "[model]") {
  const std::string name = GENERATE("tiny-untied", "tiny-llama3rope");
  const CausalLm lm = tiny(name);
  std::mt19937_64 random(14);
  const Ids prompt = random_ids(random, 50, lm.config.vocab_size);
  const Ids turn = random_ids(random, 7, lm.config.vocab_size);
  DistillOptions setting;
  setting.stages = {{1, Count{9}}};
  for (const std::int64_t stages : {0, 1}) {
    for (const std::int64_t truncated : {std::int64_t{0}, kTruncateAll}) {
      DistillOptions own = setting;
      if (stages == 0) own.stages.clear();
      own.truncated_stages = truncated;
      KvCache at_once = lm.make_cache();
      prefill_one(lm, prompt, at_once, make_distiller(own));
      KvCache one_by_one = at_once.fork(), by_two = at_once.fork();
      const at::Tensor expected = append_one(lm, turn, at_once);
      at::Tensor got, got_two;
      for (const std::int64_t id : turn) got = append_one(lm, {id}, one_by_one);
      for (std::size_t i = 0; i < turn.size(); i += 2)
        got_two = append_one(
            lm,
            Ids(turn.begin() + static_cast<std::ptrdiff_t>(i),
                turn.begin() + static_cast<std::ptrdiff_t>(std::min(i + 2, turn.size()))),
            by_two);
      CHECK(apart(got, expected) < kTiny);
      CHECK(apart(got_two, expected) < kTiny);
      CHECK(apart(one_by_one, 0, at_once, 0) < kTiny);
      CHECK(apart(by_two, 0, at_once, 0) < kTiny);
      CHECK(at_once.next_position(0) == 57);
    }
  }
}

TEST_CASE("a prompt in chunks equals the prompt at once", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  std::mt19937_64 random(15);
  const Ids prompt = random_ids(random, 400, lm.config.vocab_size);
  KvCache whole = lm.make_cache();
  const at::Tensor expected = prefill_one(lm, prompt, whole);
  for (const std::ptrdiff_t first : {1, 100, 399}) {
    KvCache cache = lm.make_cache();
    prefill_one(lm, Ids(prompt.begin(), prompt.begin() + first), cache);
    CHECK(apart(append_one(lm, Ids(prompt.begin() + first, prompt.end()), cache), expected) <
          kTiny);
    CHECK(apart(cache, 0, whole, 0) < kTiny);
  }
  KvCache appended = lm.make_cache();  // onto nothing: append is a prefill that selects nothing
  CHECK(apart(append_one(lm, prompt, appended), expected) < kTiny);
}

TEST_CASE("positions stay true when tokens and cache rows are gone", "[model]") {
  const CausalLm lm = tiny("tiny-untied");
  std::mt19937_64 random(16);
  const Ids prompt = random_ids(random, 60, lm.config.vocab_size);
  KvCache cache = lm.make_cache();
  const EveryNth policy{{1, 2}, {1, 2}, 4};
  const PrefillResult result = lm.prefill(tensor_of(prompt), {60}, cache, policy);
  const Ids first = policy.kept(range(0, 60)), second = policy.kept(first);
  CHECK(ids_of(result.stages.at(0).kept_positions) == first);
  CHECK(ids_of(result.stages.at(1).kept_positions) == second);
  append_one(lm, {3, 4}, cache);
  Ids rows = second;
  rows.insert(rows.end(), {60, 61});
  for (std::int64_t l = 0; l < 4; ++l) CHECK(ids_of(cache.at(0, l).positions()) == rows);
  CHECK(cache.next_position(0) == 62);
}

TEST_CASE("a bfloat16 or float16 model runs on the CPU close to float32", "[model]") {
  const auto dtype = GENERATE(at::kBFloat16, at::kHalf);
  const CausalLm lm = tiny("tiny-llama3rope", dtype), exact = tiny("tiny-llama3rope");
  const double bound = dtype == at::kHalf ? 0.05 : 0.4;  // rounding
  std::mt19937_64 random(17);
  const Ids prompt = random_ids(random, 300, lm.config.vocab_size);
  const EveryNth policy{{1, 3}, {1, 3}, 3};
  for (const Placement placement : {Placement::kBefore, Placement::kAfter}) {
    KvCache cache = lm.make_cache(), reference = exact.make_cache();
    const at::Tensor logits = prefill_one(lm, prompt, cache, policy, placed(placement));
    CHECK(logits.scalar_type() == at::kFloat);
    CHECK(cache.at(0, 0).keys().scalar_type() == dtype);
    CHECK(apart(logits, prefill_one(exact, prompt, reference, policy)) < bound);
    CHECK(apart(append_one(lm, {1, 2, 3}, cache), append_one(exact, {1, 2, 3}, reference)) < bound);
    CHECK(apart(append_one(lm, {4}, cache), append_one(exact, {4}, reference)) < bound);
  }
  // Scores are float32 whatever the dtype.
  DistillOptions setting;
  setting.stages = {{1, Count{20}}};
  KvCache cache = lm.make_cache();
  const PrefillResult result = lm.prefill(tensor_of(prompt), {300}, cache, make_distiller(setting));
  CHECK(result.stages.at(0).scores.at(0).scalar_type() == at::kFloat);
}

}  // namespace
}  // namespace promptdistill::test
