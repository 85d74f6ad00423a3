// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The hook: what a policy is shown, what is made of its choice, and what is refused.

#include <functional>
#include <memory>

#include "tests/core/test_support.hpp"

namespace promptdistill::test {
namespace {

/// A user's policy: selects at layer 2 with the last `queries` queries.
struct UserPolicy {
  std::function<Selection(const LayerProbe&)> choose;
  std::int64_t queries = 1;

  void check(std::int64_t, std::int64_t) const {}
  bool selects_at(std::int64_t layer) const { return layer == 2; }
  bool truncates_at(std::int64_t) const { return false; }
  std::int64_t window(std::int64_t) const { return queries; }
  Selection select(const LayerProbe& probe) const { return choose(probe); }
};
static_assert(DistillPolicy<UserPolicy>);

UserPolicy keeping(std::vector<at::Tensor> choices) {  // in the order of the rows
  auto next = std::make_shared<std::size_t>(0);
  return {[=](const LayerProbe&) { return Selection{choices.at((*next)++), {}}; }};
}

LayerProbe probe_of(Random& random, std::int64_t tokens, std::int64_t window = 1) {
  const at::Tensor positions = at::arange(tokens, at::kLong);
  return {2, random.normal({4, window, 3}), random.normal({2, tokens, 3}),
          positions.narrow(0, tokens - window, window), positions};
}

StageSelection ask(const UserPolicy& policy, const Ids& lengths) {
  Random random(51);
  std::vector<LayerProbe> rows;
  for (const std::int64_t length : lengths) rows.push_back(probe_of(random, length));
  return select(policy, rows);
}

TEST_CASE("the choices of the rows become one retention", "[core]") {
  const StageSelection chosen =
      ask(keeping({longs({0, 2}), longs({4}), longs({1, 2, 3})}), {3, 5, 4});
  REQUIRE(chosen.retention);
  CHECK(to_ids(chosen.retention->indices()) == Ids{0, 2, 4, 1, 2, 3});
  CHECK(chosen.retention->offsets() == Ids{0, 2, 3, 6});
  CHECK(chosen.retention->source_lengths() == Ids{3, 5, 4});
  CHECK(chosen.scores.size() == 3);
}

TEST_CASE("an undefined choice keeps the whole row", "[core]") {
  const StageSelection mixed = ask(keeping({{}, longs({1})}), {3, 2});
  REQUIRE(mixed.retention);
  CHECK(to_ids(mixed.retention->indices()) == Ids{0, 1, 2, 1});
  const StageSelection none = ask(keeping({{}, {}}), {3, 2});
  CHECK_FALSE(none.retention);
  REQUIRE(none.scores.size() == 2);
  CHECK_FALSE(none.scores[0].defined());
  CHECK_FALSE(ask(keeping({longs({0, 1, 2}), {}}), {3, 2}).retention);  // all, but spelt out
  CHECK_FALSE(select(NoDistill{}, std::vector<LayerProbe>{}).retention);
}

TEST_CASE("scores are handed on", "[core]") {
  const UserPolicy policy{[](const LayerProbe& probe) {
    if (probe.tokens() == 2) return Selection{};
    return Selection{longs({probe.tokens() - 1}), at::arange(probe.tokens(), at::kFloat)};
  }};
  const StageSelection chosen = ask(policy, {3, 2, 4});
  REQUIRE(chosen.scores.size() == 3);
  CHECK(chosen.scores[0].numel() == 3);
  CHECK_FALSE(chosen.scores[1].defined());
  CHECK(chosen.scores[2].numel() == 4);
}

TEST_CASE("garbage from a policy is refused", "[core]") {
  const auto refused = [](const at::Tensor& choice) {
    return [=] { ask(keeping({longs({0, 2}), choice}), {3, 4}); };
  };
  const auto refused_alone = [](const at::Tensor& choice) {
    return [=] { ask(keeping({choice}), {4}); };
  };
  const std::string last = "a policy must keep the last token of every row (3), got ";
  check_index_error(refused(longs({0, 2})), {last + "2 as the last of row 1"});
  check_index_error(refused_alone(longs({0})), {last + "0 as the last of row 0"});
  check_index_error(refused(longs({1, 0, 3})), {"ascending", "row 1"});
  check_index_error(refused(longs({3, 3})), {"ascending", "row 1"});
  check_index_error(refused(longs({3, 4})), {"in [0, 4)", "got 4"});
  check_index_error(refused_alone(longs({-1, 3})), {"got -1"});
  check_value_error(refused(longs({})), {"at least one token, row 1 keeps 0"});
  check_value_error(refused_alone(longs({})), {"at least one token, row 0 keeps 0"});
  check_value_error(refused_alone(at::tensor({0, 3}, at::kInt)), {"one-dimensional int64"});
  check_value_error(refused_alone(at::tensor({0.0F, 3.0F})), {"one-dimensional int64"});
  check_value_error(refused(at::tensor({0.0F, 3.0F})), {"one-dimensional int64"});
  check_value_error(refused_alone(longs({3}).view({1, 1})), {"one-dimensional int64"});
  check_value_error(refused_alone(at::scalar_tensor(3, at::kLong)), {"one-dimensional int64"});
  check_value_error(refused_alone(at::ones({4}, at::kBool)), {"one-dimensional int64"});  // a mask
}

TEST_CASE("what a policy throws goes through", "[core]") {
  const UserPolicy policy{[](const LayerProbe&) -> Selection { throw std::domain_error("mine"); }};
  CHECK_THROWS_AS(ask(policy, {3}), std::domain_error);
}

TEST_CASE("the padded hook shows a policy views of the last queries", "[core]") {
  Random random(52);
  const std::int64_t batch = 3, tokens = 7, window = 2;
  const at::Tensor queries = random.normal({batch, 4, 5, 3});
  const at::Tensor keys = random.normal({batch, 2, tokens, 3});
  const at::Tensor positions = at::arange(batch * tokens, at::kLong).view({batch, tokens});
  std::vector<LayerProbe> seen;
  const UserPolicy policy{[&](const LayerProbe& probe) {
                            seen.push_back(probe);
                            return Selection{longs({1, 6}), {}};
                          },
                          window};
  const auto kept = select(policy, 2, queries, keys, positions);
  REQUIRE(kept);
  CHECK(kept->source_lengths() == Ids{7, 7, 7});
  CHECK(to_ids(kept->indices()) == Ids{1, 6, 1, 6, 1, 6});
  REQUIRE(seen.size() == 3);
  for (std::int64_t b = 0; b < batch; ++b) {
    const LayerProbe& probe = seen[static_cast<std::size_t>(b)];
    CHECK(probe.layer == 2);
    CHECK(at::equal(probe.queries, queries[b].slice(1, 3)));
    CHECK(probe.keys.const_data_ptr() == keys[b].const_data_ptr());
    CHECK(at::equal(probe.positions, positions[b]));
    CHECK(at::equal(probe.query_positions, positions[b].slice(0, 5)));
  }
  seen.clear();
  CHECK_FALSE(select(policy, 1, queries, keys, positions));
  CHECK(seen.empty());  // not asked where it does not select
}

TEST_CASE("the padded hook chooses what the packed one chooses", "[core]") {
  Random random(53);
  for (int i = 0; i < 100; ++i) {
    const std::int64_t batch = random.between(1, 4), tokens = random.between(1, 20),
                       groups = random.between(1, 3), heads = groups * random.between(1, 3);
    const std::int64_t window = random.between(1, 6), shown = std::min(window, tokens),
                       given = random.between(shown, tokens + 2);
    const Distiller policy(Schedule({{2, Count{random.between(1, 8)}}}),
                           Pooled(ObservationWindowScorer(window)));
    const at::Tensor queries = random.normal({batch, heads, given, 4});
    const at::Tensor keys = random.normal({batch, tokens, groups, 4}).transpose(1, 2);
    const at::Tensor positions = at::arange(tokens, at::kLong) * random.between(1, 3);
    std::vector<LayerProbe> rows;
    for (std::int64_t b = 0; b < batch; ++b)
      rows.push_back({2, queries[b].slice(1, given - shown), keys[b],
                      positions.slice(0, tokens - shown), positions});
    const auto packed = select(policy, rows).retention;
    const auto shared = select(policy, 2, queries, keys, positions);
    const auto own = select(policy, 2, queries, keys, positions.expand({batch, tokens}));
    REQUIRE(packed.has_value() == shared.has_value());
    REQUIRE(packed.has_value() == own.has_value());
    if (!packed) continue;
    CHECK(at::equal(packed->indices(), shared->indices()));
    CHECK(at::equal(packed->indices(), own->indices()));
    CHECK(packed->offsets() == shared->offsets());
    const at::Tensor hidden = random.normal({batch, tokens, 3});
    CHECK(at::equal(shared->gather(hidden, 1),
                    TokenFrame::from_padded(hidden).keep(*packed).to_padded()));
  }
}

TEST_CASE("the padded hook refuses what does not fit", "[core]") {
  const UserPolicy policy{[](const LayerProbe&) { return Selection{}; }, 3};
  const at::Tensor queries = at::zeros({2, 4, 3, 8}), keys = at::zeros({2, 2, 5, 8}),
                   positions = at::arange(5, at::kLong);
  const auto call = [&](at::Tensor q, at::Tensor k, at::Tensor p) {
    return [=] { select(policy, 2, q, k, p); };
  };
  CHECK_NOTHROW(call(queries, keys, positions)());
  const std::string shapes = "queries must be [B, H, Tq, D] and keys [B, G, T, D]";
  check_value_error(call(queries[0], keys, positions), {shapes});
  check_value_error(call(queries, keys[0], positions), {shapes});
  check_value_error(call(queries.slice(0, 1), keys, positions), {shapes});
  check_value_error(call(at::Tensor(), at::Tensor(), positions), {shapes});
  const std::string places = "positions must be [B, T] = [2, 5] or [T]";
  check_value_error(call(queries, keys, positions.slice(0, 1)), {places, "got [4]"});
  check_value_error(call(queries, keys, positions.expand({3, 5})), {places});
  check_value_error(call(queries, keys, positions.expand({1, 5})), {places});
  check_value_error(call(queries, keys, positions.expand({1, 2, 5})), {places});
  check_value_error(call(queries, keys, at::scalar_tensor(5, at::kLong)), {places});
  check_value_error(call(queries, keys, at::Tensor()), {places});
  check_value_error(call(queries, keys, positions.to(at::kInt)), {"positions must be int64"});
  check_value_error(call(queries.slice(2, 1), keys, positions), {"last 3 queries, got 2"});
  const UserPolicy blind{policy.choose, 0};
  check_value_error([&] { select(blind, 2, queries, keys, positions); }, {"the last 0 queries"});
  check_value_error(call(at::zeros({2, 3, 3, 8}), keys, positions), {"H must be a multiple of G"});
  check_value_error(call(at::zeros({2, 4, 3, 4}), keys, positions), {"share the head size"});
}

TEST_CASE("truncation cuts the layers up to the stage where the policy says so", "[core]") {
  struct Truncating : NoDistill {
    bool truncates_at(std::int64_t layer) const { return layer == 2; }
  };
  struct Foreign {  // a cache that is not ours
    std::vector<std::pair<std::int64_t, Ids>> calls;
    void keep(std::int64_t layer, const Retention& kept, const at::Tensor& positions) {
      CHECK(kept.batch() == 2);
      calls.emplace_back(layer, to_ids(positions));
    }
  };
  const Retention even(longs({0, 2, 1, 2}), {0, 2, 4}, {3, 3}),
      ragged(longs({0, 2, 3}), {0, 1, 3}, {2, 4});
  const auto positions_seen = [](const Retention& kept, const at::Tensor& positions) {
    Foreign cache;
    truncate(Truncating{}, 2, kept, positions, cache);
    REQUIRE(cache.calls.size() == 3);
    for (std::int64_t l = 0; l < 3; ++l) {
      CHECK(cache.calls[static_cast<std::size_t>(l)].first == l);
      CHECK(cache.calls[static_cast<std::size_t>(l)].second == cache.calls[0].second);
    }
    return cache.calls[0].second;
  };
  CHECK(positions_seen(even, longs({4, 5, 7})) == Ids{4, 5, 7, 4, 5, 7});  // shared by the rows
  CHECK(positions_seen(even, longs({4, 5, 7, 0, 1, 2}).view({2, 3})) == Ids{4, 5, 7, 0, 1, 2});
  CHECK(positions_seen(ragged, longs({4, 5, 0, 1, 2, 9})) == Ids{4, 5, 0, 1, 2, 9});
  Foreign untouched;
  truncate(Truncating{}, 1, even, longs({4, 5, 7}), untouched);
  truncate(NoDistill{}, 2, even, longs({4, 5, 7}), untouched);
  CHECK(untouched.calls.empty());
}

TEST_CASE("a probe refuses shapes and dtypes that do not fit", "[core]") {
  Random random(54);
  const LayerProbe good = probe_of(random, 5, 2);
  CHECK_NOTHROW(good.check());
  CHECK(good.tokens() == 5);
  CHECK(good.query_heads() == 4);
  const auto with = [&](auto change) {
    return [=] {
      LayerProbe probe = good;
      change(probe);
      const NoDistill policy;
      select(policy, std::vector<LayerProbe>{good, probe});
    };
  };
  const auto value = [&](auto change, const std::string& words) {
    check_value_error(with(change), {words});
  };
  value([](LayerProbe& p) { p.queries = at::Tensor(); }, "queries must be [H, W, D]");
  value([](LayerProbe& p) { p.keys = at::Tensor(); }, "keys [G, T, D]");
  value([](LayerProbe& p) { p.keys = p.keys[0]; }, "keys [G, T, D]");
  value([](LayerProbe& p) { p.queries = p.queries.slice(2, 1); }, "share the head size");
  value([](LayerProbe& p) { p.queries = p.queries.slice(0, 1); }, "H must be a multiple of G");
  value([](LayerProbe& p) { p.keys = p.keys.slice(0, 0, 0); }, "H must be a multiple of G");
  value([](LayerProbe& p) { p.queries = p.queries.slice(1, 0, 0); }, "between 1 and T = 5 queries");
  value([](LayerProbe& p) { p.keys = p.keys.slice(1, 0, 1); }, "between 1 and T = 1 queries");
  const std::string places = "the position of every key and query";
  value([](LayerProbe& p) { p.positions = p.positions.slice(0, 1); }, places);
  value([](LayerProbe& p) { p.positions = at::Tensor(); }, places);
  value([](LayerProbe& p) { p.query_positions = p.positions; }, places);
  value([](LayerProbe& p) { p.query_positions = at::Tensor(); }, places);
  value([](LayerProbe& p) { p.positions = p.positions.to(at::kInt); }, "must be int64");
  value([](LayerProbe& p) { p.query_positions = p.query_positions.to(at::kFloat); },
        "must be int64");
}

}  // namespace
}  // namespace promptdistill::test
