// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A prefill in parts: policies that go on from a shared beginning give what they give alone.

#include <random>
#include <vector>

#include "promptdistill/model.hpp"
#include "promptdistill/promptdistill.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"
#include "tests/io/tiny_lm.hpp"

namespace promptdistill::test {
namespace {

TEST_CASE("what is finished from a shared beginning is the prefill itself, bit for bit",
          "[model]") {
  const std::string name = GENERATE("tiny-untied", "tiny-llama3rope");
  const auto placement = GENERATE(Placement::kBefore, Placement::kAfter);
  const std::optional<std::int64_t> chunk =
      GENERATE(std::optional<std::int64_t>{}, std::optional<std::int64_t>{20});
  const CausalLm lm = tiny(name);
  std::mt19937_64 random(31);
  const std::vector<std::int64_t> lengths{70, 33};
  const Ids ids = random_ids(random, 103, lm.config.vocab_size);
  PrefillOptions options = placed(placement);
  options.prefill_chunk = chunk;
  KvCache shared = lm.make_cache(2, 3);
  PartialPrefill partial = lm.begin_prefill(tensor_of(ids), lengths, shared, options);
  for (std::int64_t layer = 0; layer + 1 < lm.layers(); ++layer) {
    lm.run_to(partial, layer, shared, options);
    lm.run_to(partial, layer, shared, options);  // is there already
    CHECK(partial.layer == layer);
    for (const EveryNth& policy :
         {EveryNth{{layer}, {}, 3}, EveryNth{{layer}, {layer}, 4},
          EveryNth{{layer, layer + 1}, {layer, layer + 1}, 2}, EveryNth{{}, {}, 1}}) {
      if (policy.layers.contains(lm.layers() - 1)) continue;
      KvCache own = shared.fork(), whole = lm.make_cache(2, 3);
      const PrefillResult result = lm.finish_prefill(partial, own, policy, options);
      const PrefillResult expected = lm.prefill(tensor_of(ids), lengths, whole, policy, options);
      CHECK(at::equal(result.last_hidden, expected.last_hidden));
      REQUIRE(result.stages.size() == expected.stages.size());
      for (std::size_t s = 0; s < result.stages.size(); ++s)
        CHECK(at::equal(result.stages[s].kept_positions, expected.stages[s].kept_positions));
      for (std::int64_t row = 0; row < 2; ++row) CHECK(apart(own, row, whole, row) == 0);
      CHECK(own.bytes() == whole.bytes());
      CHECK(at::equal(lm.append(tensor_of({5, 6}), {1, 1}, own),
                      lm.append(tensor_of({5, 6}), {1, 1}, whole)));
    }
  }
}

TEST_CASE("a prefill in parts refuses what does not fit", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  KvCache cache = lm.make_cache();
  CHECK_THROWS_AS(lm.begin_prefill(tensor_of({}), {}, cache), c10::ValueError);
  PartialPrefill partial = lm.begin_prefill(tensor_of({1, 2, 3}), {3}, cache);
  lm.run_to(partial, 2, cache);
  CHECK_THAT(message_of<c10::IndexError>([&] { lm.run_to(partial, 1, cache); }),
             Catch::Matchers::Contains("in front of layer 2"));
  CHECK_THROWS_AS(lm.run_to(partial, lm.layers(), cache), c10::IndexError);
  CHECK_THAT(message_of<c10::ValueError>([&] {
               lm.finish_prefill(partial, cache, EveryNth{{1}, {}, 2});
             }),
             Catch::Matchers::Contains("a policy that selects at layer 1"));
  CHECK_THROWS_AS(lm.begin_prefill(tensor_of({1}), {1}, cache), c10::ValueError);  // not empty
}

}  // namespace
}  // namespace promptdistill::test
