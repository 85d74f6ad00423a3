// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The cache policies on tensors of our own: sums against a dense softmax, chunks against a whole
// prompt, one object for several requests.

#include <cmath>
#include <limits>

#include "promptdistill/any_cache_policy.hpp"
#include "promptdistill/baseline/attention_mass.hpp"
#include "promptdistill/baseline/h2o.hpp"
#include "promptdistill/baseline/snap_kv.hpp"
#include "promptdistill/baseline/streaming_llm.hpp"
#include "tests/core/test_support.hpp"

namespace promptdistill::test {
namespace {

constexpr std::int64_t kHeads = 6, kGroups = 2, kSize = 8;

struct Tokens {
  at::Tensor queries, keys, values, positions;  // [H, T, D], [T, G, D] twice, [T]
};

Tokens draw(std::int64_t count, std::uint64_t seed) {
  at::set_num_threads(1);
  const at::Generator random = at::detail::createCPUGenerator(seed);
  return {at::randn({kHeads, count, kSize}, random), at::randn({count, kGroups, kSize}, random),
          at::randn({count, kGroups, kSize}, random), at::arange(count, at::kLong)};
}

/// Appends tokens [first, last) and asks the policy about them.
template <class Policy>
void step(Policy& policy,
          const Tokens& all,
          LayerCache& cache,
          std::int64_t first,
          std::int64_t last,
          bool prefill,
          bool complete,
          std::int64_t layer = 0) {
  const std::int64_t count = last - first;
  cache.append(all.keys.narrow(0, first, count), all.values.narrow(0, first, count),
               all.positions.narrow(0, first, count), 2);
  policy.evict({0, layer, all.queries.narrow(1, first, count),
                all.positions.narrow(0, first, count), prefill, complete, 2},
               cache);
}

/// The formula without blocks, masks by position alone.
at::Tensor dense_mass(const at::Tensor& queries,
                      const at::Tensor& query_positions,
                      const LayerCache& cache,
                      std::optional<std::int64_t> window) {  // [G, rows]
  const std::int64_t shared = queries.size(0) / cache.keys().size(0);
  const at::Tensor keys = cache.keys().repeat_interleave(shared, 0).to(at::kDouble);
  at::Tensor logits = queries.to(at::kDouble).matmul(keys.transpose(1, 2)) / std::sqrt(8.0);
  const at::Tensor theirs = cache.positions()
                                .expand({cache.keys().size(0), cache.rows()})
                                .repeat_interleave(shared, 0)
                                .unsqueeze(1),
                   own = query_positions.view({1, -1, 1});
  at::Tensor hidden = theirs.gt(own);
  if (window) hidden = hidden.logical_or(theirs.le(own - *window));
  logits.masked_fill_(hidden, -std::numeric_limits<double>::infinity());
  return logits.softmax(-1).sum(1).view({-1, shared, cache.rows()}).mean(1).to(at::kFloat);
}

double apart(const at::Tensor& a, const at::Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  return a.sub(b).abs().max().item<double>();
}

TEST_CASE("the attention of a row is summed block by block as densely", "[baseline]") {
  const std::int64_t count = 1500;  // several blocks
  const Tokens all = draw(count, 1);
  LayerCache cache;
  cache.append(all.keys, all.values, all.positions, 4);
  const auto check = [&](std::int64_t first, std::int64_t queries,
                         std::optional<std::int64_t> window) {
    INFO("from " << first << ", " << queries << " queries, window " << window.value_or(0));
    const at::Tensor own = all.queries.narrow(1, first, queries),
                     at = all.positions.narrow(0, first, queries);
    const at::Tensor mass = detail::attention_mass(own, at, cache, window);
    CHECK(apart(mass, dense_mass(own, at, cache, window)) < 1e-4);
    CHECK(std::abs(mass.sum().item<double>() - static_cast<double>(queries * kGroups)) < 1e-2);
  };
  for (const auto window : {std::optional<std::int64_t>{}, std::optional<std::int64_t>{100}}) {
    check(0, count, window);
    check(count - 32, 32, window);
    check(count - 1, 1, window);
    check(count / 2, 1, window);  // a kept token in a chunk of its own
  }
  // A stage before attention leaves some of the tokens as queries, all of them as keys.
  const at::Tensor some = at::arange(0, count, 7, at::kLong);
  CHECK(apart(detail::attention_mass(all.queries.index_select(1, some), some, cache, {}),
              dense_mass(all.queries.index_select(1, some), some, cache, {})) < 1e-4);
  // Heads that kept different rows, then a few more tokens.
  const at::Tensor rows = at::stack({at::arange(0, 50, at::kLong), at::arange(30, 80, at::kLong)});
  cache.keep(rows, 8);
  Tokens more = draw(5, 2);
  more.positions.add_(count);
  cache.append(more.keys, more.values, more.positions, 0);
  for (const auto window : {std::optional<std::int64_t>{}, std::optional<std::int64_t>{1460}})
    CHECK(apart(detail::attention_mass(more.queries, more.positions, cache, window),
                dense_mass(more.queries, more.positions, cache, window)) < 1e-5);
}

TEST_CASE("a prompt in chunks is evicted as a whole one, once it is complete", "[baseline]") {
  const std::int64_t count = 90;
  const Tokens all = draw(count + 6, 3);
  const auto run = [&](auto policy, const Ids& ends) {
    LayerCache cache;
    std::int64_t first = 0;
    for (const std::int64_t end : ends) {
      step(policy, all, cache, first, end, true, end == count);
      if (end < count) CHECK(cache.rows() == end);
      first = end;
    }
    for (; first < count + 6; ++first) step(policy, all, cache, first, first + 1, false, true);
    return cache;
  };
  const auto equal = [&](auto make, std::int64_t rows) {
    const LayerCache whole = run(make(), {count}), chunks = run(make(), {10, 50, count});
    CHECK(whole.rows() == rows);
    CHECK(at::equal(whole.positions(), chunks.positions()));
    CHECK(at::equal(whole.keys(), chunks.keys()));
    CHECK(whole.positions().select(-1, rows - 1).eq(count + 5).all().item<bool>());
  };
  equal([] { return SnapKv({20, 8, 5, PoolKind::kAverage}); }, 26);
  equal([] { return H2o({12, 8}); }, 20);
  equal([] { return StreamingLlm({3, 9}); }, 12);
  equal([] { return AnyCachePolicy(H2o({12, 8})); }, 20);
  equal([] { return AnyCachePolicy(); }, count + 6);
}

TEST_CASE("a last chunk shorter than SnapKV's window is refused", "[baseline]") {
  const Tokens all = draw(40, 4);
  SnapKv policy({20, 8, 5, PoolKind::kMax});
  LayerCache cache;
  step(policy, all, cache, 0, 33, true, false);
  check_throws<c10::ValueError>([&] { step(policy, all, cache, 33, 40, true, true, 3); },
                                {"window of 8 tokens, got 7", "layer 3"});
  LayerCache small;  // nothing is to be cut
  step(policy, all, small, 0, 13, true, false);
  step(policy, all, small, 13, 20, true, true);
  CHECK(small.rows() == 20);
}

TEST_CASE("one H2O serves one request after another, and knows when it missed one", "[baseline]") {
  const Tokens first = draw(60, 5), second = draw(70, 6);
  const auto answer = [](H2o& policy, const Tokens& all, std::int64_t prompt) {
    LayerCache cache;
    step(policy, all, cache, 0, prompt / 2, true, false);
    step(policy, all, cache, prompt / 2, prompt, true, true);
    for (std::int64_t t = prompt; t < prompt + 5; ++t)
      step(policy, all, cache, t, t + 1, false, true);
    return to_ids(cache.positions());
  };
  H2o used({10, 6}), fresh({10, 6});
  answer(used, first, 50);
  CHECK(answer(used, second, 60) == answer(fresh, second, 60));

  LayerCache aborted;  // a prompt that was stopped after its first chunk
  step(used, first, aborted, 0, 30, true, false);
  CHECK(answer(used, second, 60) == answer(fresh, second, 60));

  // Stopped at a layer whose stage selects before attention: queries are fewer than rows.
  const auto kept = [&](H2o& policy, std::int64_t token, bool complete, LayerCache& cache) {
    policy.evict({0, 0, second.queries.narrow(1, token, 6), second.positions.narrow(0, token, 6),
                  true, complete, 2},
                 cache);
  };
  const auto after_stage = [&](H2o& policy) {
    LayerCache cache;
    cache.append(second.keys, second.values, second.positions, 2);
    kept(policy, 0, false, cache);
    kept(policy, 64, true, cache);
    return to_ids(cache.positions());
  };
  H2o stopped({10, 6}), anew({10, 6});
  LayerCache dropped;
  dropped.append(second.keys, second.values, second.positions, 2);
  kept(stopped, 0, false, dropped);
  kept(stopped, 30, false, dropped);
  CHECK(after_stage(stopped) == after_stage(anew));

  LayerCache strange;
  strange.append(first.keys.narrow(0, 0, 30), first.values.narrow(0, 0, 30),
                 first.positions.narrow(0, 0, 30), 2);
  check_throws<c10::ValueError>([&] { step(used, first, strange, 30, 31, false, true, 9); },
                                {"it knows 0 rows of layer 9, the cache held 30"});
}

TEST_CASE("settings of cache policies are checked", "[baseline]") {
  check_throws<c10::ValueError>([] { SnapKv({7, 8, 5}); }, {"capacity", "window of 8", "got 7"});
  check_throws<c10::ValueError>([] { SnapKv({7, 0, 5}); }, {"window", "got 0"});
  check_throws<c10::ValueError>([] { SnapKv({-1, -1, 5}); }, {"window", "got -1"});
  for (const std::int64_t pool : {0, -1, 4})
    check_throws<c10::ValueError>(
        [&] {
          SnapKv({9, 8, pool});
        },
        {"odd", "got " + std::to_string(pool)});
  check_throws<c10::ValueError>([] { H2o({0, 5}); }, {"H2O", "got 0 and 5"});
  check_throws<c10::ValueError>([] { H2o({5, -2}); }, {"H2O", "got 5 and -2"});
  check_throws<c10::ValueError>([] { StreamingLlm({-1, 5}); }, {"sinks", "got -1 and 5"});
  check_throws<c10::ValueError>([] { StreamingLlm({4, 0}); }, {"recent", "got 4 and 0"});
}

}  // namespace
}  // namespace promptdistill::test
