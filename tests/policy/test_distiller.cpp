// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Distiller: which layers select, budgets that cover everything, what users' scorers may get wrong,
// and one policy shared by threads.

#include <array>
#include <limits>
#include <memory>
#include <thread>

#include "tests/core/test_support.hpp"

namespace promptdistill::test {
namespace {

struct Calls {
  int scored = 0, selected = 0;
};

struct CountingScorer {
  std::shared_ptr<Calls> calls;
  std::int64_t tail() const { return 2; }
  void check_heads(std::int64_t) const {}
  at::Tensor score(const LayerProbe& probe) const {
    ++calls->scored;
    return at::arange(probe.tokens(), at::kFloat);
  }
};

struct CountingSelector {
  std::shared_ptr<Calls> calls;
  TopK inner;
  std::int64_t candidates(std::int64_t tokens, std::int64_t tail) const {
    return inner.candidates(tokens, tail);
  }
  at::Tensor select(const at::Tensor& scores, std::int64_t k, std::int64_t tail) const {
    ++calls->selected;
    return inner.select(scores, k, tail);
  }
};

/// A scorer that returns what it is given.
struct GivenScorer {
  at::Tensor scores;
  std::int64_t tails = 1;
  std::int64_t tail() const { return tails; }
  void check_heads(std::int64_t) const {}
  at::Tensor score(const LayerProbe&) const { return scores; }
};

LayerProbe probe_of(std::int64_t tokens, std::int64_t window = 1, std::int64_t layer = 4) {
  Random random(71);
  const at::Tensor positions = at::arange(tokens, at::kLong);
  return {layer, random.normal({4, window, 8}), random.normal({2, tokens, 8}),
          positions.slice(0, tokens - window), positions};
}

TEST_CASE("a budget that covers everything scores nothing", "[policy]") {
  for (const std::int64_t first : {0, 3}) {
    for (std::int64_t tokens = 2; tokens < 16; ++tokens) {
      const std::int64_t between = std::max<std::int64_t>(tokens - 2 - first, 0);
      const std::array<Budget, 4> budgets{Count{std::max<std::int64_t>(between, 1)},
                                          Count{std::numeric_limits<std::int64_t>::max()},
                                          Ratio{1.0}, Ratio{0.999}};
      for (const Budget& budget : budgets) {
        const auto calls = std::make_shared<Calls>();
        const Distiller policy(Schedule({{4, budget}}), CountingScorer{calls},
                               CountingSelector{calls, TopK(first)});
        const Selection choice = policy.select(probe_of(tokens, 2));
        CHECK_FALSE(choice.indices.defined());
        CHECK_FALSE(choice.scores.defined());
        CHECK(calls->scored == 0);
        CHECK(calls->selected == 0);
      }
      if (between < 2) continue;
      const auto calls = std::make_shared<Calls>();
      const Distiller policy(Schedule({{4, Count{between - 1}}}), CountingScorer{calls},
                             CountingSelector{calls, TopK(first)});
      CHECK(policy.select(probe_of(tokens, 2)).indices.numel() == tokens - 1);
      CHECK(calls->scored == 1);
      CHECK(calls->selected == 1);
    }
  }
}

TEST_CASE("a distiller selects at its stages only", "[policy]") {
  const auto calls = std::make_shared<Calls>();
  const Distiller policy(Schedule({{1, Count{3}}, {4, Count{2}}}, 1), CountingScorer{calls});
  for (std::int64_t layer = 0; layer < 8; ++layer) {
    CHECK(policy.selects_at(layer) == (layer == 1 || layer == 4));
    CHECK(policy.truncates_at(layer) == (layer == 1));
    CHECK(policy.window(layer) == 2);
    if (policy.selects_at(layer)) continue;
    CHECK_FALSE(policy.select(probe_of(9, 2, layer)).indices.defined());
  }
  CHECK(calls->scored == 0);
  CHECK(policy.select(probe_of(9, 2, 1)).indices.numel() == 3 + 2);
  CHECK(policy.select(probe_of(9, 2, 4)).indices.numel() == 2 + 2);
  CHECK(policy.schedule().stages().size() == 2);
  CHECK_FALSE(Distiller<>(Schedule()).selects_at(0));
}

TEST_CASE("a prompt of one token goes through everything", "[policy]") {
  for (const auto scorer : {ScorerKind::kLast, ScorerKind::kWindow}) {
    for (const std::int64_t first : {0, 3}) {
      for (const Budget& budget : std::array<Budget, 3>{Count{1}, Count{9}, Ratio{0.5}}) {
        DistillOptions options;
        options.stages = {{4, budget}};
        options.scorer = scorer;
        options.protect_first = first;
        const AnyDistiller policy = make_distiller(options);
        CHECK_FALSE(select(policy, std::vector<LayerProbe>{probe_of(1)}).retention);
        CHECK_FALSE(select(policy, 4, at::ones({2, 4, 1, 8}), at::ones({2, 2, 1, 8}),
                           at::zeros({1}, at::kLong)));
      }
    }
  }
  CHECK(LastQueryScorer{}.score(probe_of(1)).numel() == 1);
  CHECK(ObservationWindowScorer{16}.score(probe_of(1)).item<float>() == 1.0F);
  CHECK(Pooled(LastQueryScorer{}, 15).score(probe_of(1)).item<float>() == 0.0F);
  CHECK(to_ids(TopK().select(at::zeros({1}), 1, 1)) == Ids{0});
  CHECK(to_ids(TopK(3).select(at::zeros({1}), 1, 4)) == Ids{0});
  CHECK(to_ids(TopK(3, 64).select(at::zeros({1}), 1, 4)) == Ids{0});
}

TEST_CASE("scores that are not finite are an error that names the layer", "[policy]") {
  const std::string words = "the scores at layer 4 must be finite, got NaN or infinity";
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (std::int64_t token = 0; token < 8; ++token) {  // the last one's score is not used
      LayerProbe probe = probe_of(9);
      probe.keys[1][token][3] = bad;
      const Distiller<> last(Schedule({{4, Count{2}}}));
      check_value_error([&] { last.select(probe); }, {words});
      const Distiller window(Schedule({{4, Count{2}}}), ObservationWindowScorer(2));
      if (bad != bad) check_value_error([&] { window.select(probe); }, {words});
    }
    LayerProbe probe = probe_of(9);
    probe.queries[0][0][0] = bad;
    check_value_error([&] { Distiller<>(Schedule({{4, Count{2}}})).select(probe); }, {words});
    const auto given = [&](at::Tensor scores) {
      return Distiller(Schedule({{4, Count{2}}}), GivenScorer{scores});
    };
    check_value_error([&] { given(at::full({9}, bad)).select(probe_of(9)); }, {words});
  }
}

TEST_CASE("a scorer that does not give one score a token is refused", "[policy]") {
  const auto refused = [](at::Tensor scores) {
    return [=] { Distiller(Schedule({{4, Count{2}}}), GivenScorer{scores}).select(probe_of(9)); };
  };
  CHECK_NOTHROW(refused(at::arange(9, at::kFloat))());
  const std::string words = "a scorer must give each of the 9 tokens at layer 4 one score, got ";
  check_value_error(refused(at::zeros({8})), {words + "[8]"});
  check_value_error(refused(at::zeros({10})), {words + "[10]"});
  check_value_error(refused(at::zeros({1, 9})), {words + "[1, 9]"});
  check_value_error(refused(at::zeros({})), {words});
  check_value_error(refused(at::Tensor()), {words});
}

TEST_CASE("a distiller checks the model it is to run in", "[policy]") {
  const HeadMap heads{{4, {0, 5}}};
  const Distiller policy(Schedule({{4, Count{2}}}), Pooled(HeadWeighted(LastQueryScorer{}, heads)));
  CHECK_NOTHROW(policy.check(6, 6));
  check_index_error([&] { policy.check(6, 5); },
                    {"a voting head must exist", "query heads 0 to 4, got 5 for layer 4"});
  check_index_error([&] { policy.check(5, 6); }, {"before the last layer (4)"});
  check_index_error([&] { policy.check(4, 6); }, {"must exist", "0 to 3, got 4"});
  check_index_error([&] { policy.select(probe_of(9)); }, {"query heads 0 to 3, got 5"});
  check_index_error(
      [] {
        HeadWeighted(LastQueryScorer{}, HeadMap{{2, {-1}}}).check_heads(4);
      },
      {"got -1"});
}

TEST_CASE("a tail without a token is refused", "[policy]") {
  for (const std::int64_t tail : {0, -1})
    check_value_error(
        [&] {
          Distiller(Schedule(), GivenScorer{at::zeros({1}), tail});
        },
        {"a scorer's tail must be at least 1, got " + std::to_string(tail)});
}

TEST_CASE("one policy serves several threads", "[policy]") {
  at::set_num_threads(1);
  DistillOptions options;
  options.stages = {{4, Count{20}}};
  options.scorer = ScorerKind::kWindow;
  options.window = 4;
  options.heads = {{4, {0, 3}}};
  const AnyDistiller policy = make_distiller(options);
  std::vector<LayerProbe> probes;
  Random random(72);
  for (int i = 0; i < 16; ++i) {
    LayerProbe probe = probe_of(80 + i, 4);
    probe.keys = random.normal({2, 80 + i, 8});
    probes.push_back(probe);
  }
  std::vector<Ids> alone;
  for (const LayerProbe& probe : probes) alone.push_back(to_ids(policy.select(probe).indices));
  std::array<std::vector<Ids>, 4> together;
  std::vector<std::thread> threads;
  for (auto& result : together) {
    threads.emplace_back([&, copy = policy] {
      at::set_num_threads(1);
      for (int round = 0; round < 10; ++round) {
        const AnyDistiller& mine = round % 2 == 0 ? copy : policy;
        for (const LayerProbe& probe : probes) result.push_back(to_ids(mine.select(probe).indices));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : together) {
    REQUIRE(result.size() == 10 * probes.size());
    for (std::size_t i = 0; i < result.size(); ++i) CHECK(result[i] == alone[i % probes.size()]);
  }
}

}  // namespace
}  // namespace promptdistill::test
