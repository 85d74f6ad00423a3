// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// AnyDistiller: the policy it holds under one type; and what the concepts accept and refuse.

#include <memory>
#include <type_traits>

#include "tests/core/test_support.hpp"

namespace promptdistill::test {
namespace {

struct GoodScorer {
  std::int64_t tail() const;
  at::Tensor score(const LayerProbe&) const;
  void check_heads(std::int64_t) const;
};
struct NoTail {
  at::Tensor score(const LayerProbe&) const;
  void check_heads(std::int64_t) const;
};
struct NoCheckHeads {
  std::int64_t tail() const;
  at::Tensor score(const LayerProbe&) const;
};
struct MutableScore {
  std::int64_t tail() const;
  at::Tensor score(const LayerProbe&);
  void check_heads(std::int64_t) const;
};
struct ScoresAsNumber {
  std::int64_t tail() const;
  void* score(const LayerProbe&) const;
  void check_heads(std::int64_t) const;
};
struct WritesProbe {
  std::int64_t tail() const;
  at::Tensor score(LayerProbe&) const;
  void check_heads(std::int64_t) const;
};
static_assert(Scorer<GoodScorer> && !HeadScorer<GoodScorer>);
static_assert(!Scorer<NoTail> && !Scorer<NoCheckHeads> && !Scorer<MutableScore>);
static_assert(!Scorer<ScoresAsNumber> && !Scorer<WritesProbe> && !Scorer<int>);
static_assert(HeadScorer<LastQueryScorer> && HeadScorer<ObservationWindowScorer>);
static_assert(!HeadScorer<Pooled<LastQueryScorer>>);  // pooled scores have no heads any more
static_assert(Scorer<Pooled<HeadWeighted<LastQueryScorer>>> && Scorer<Pooled<GoodScorer>>);
static_assert(Scorer<HeadWeighted<ObservationWindowScorer>>);

struct NoCandidates {
  at::Tensor select(const at::Tensor&, std::int64_t, std::int64_t) const;
};
struct SelectsWithoutTail {
  std::int64_t candidates(std::int64_t, std::int64_t) const;
  at::Tensor select(const at::Tensor&, std::int64_t) const;
};
static_assert(Selector<TopK> && !Selector<NoCandidates> && !Selector<SelectsWithoutTail>);
static_assert(!Selector<LastQueryScorer> && !Scorer<TopK>);

struct GoodPolicy {
  void check(std::int64_t, std::int64_t) const;
  bool selects_at(std::int64_t) const;
  bool truncates_at(std::int64_t) const;
  std::int64_t window(std::int64_t) const;
  Selection select(const LayerProbe&) const;
};
struct NoWindow {
  void check(std::int64_t, std::int64_t) const;
  bool selects_at(std::int64_t) const;
  bool truncates_at(std::int64_t) const;
  Selection select(const LayerProbe&) const;
};
struct ReturnsIndices : NoWindow {
  std::int64_t window(std::int64_t) const;
  at::Tensor select(const LayerProbe&) const;
};
struct ChangesItself : NoWindow {
  std::int64_t window(std::int64_t) const;
  Selection select(const LayerProbe&);
};
static_assert(DistillPolicy<GoodPolicy> && DistillPolicy<NoDistill> && DistillPolicy<AnyDistiller>);
static_assert(DistillPolicy<Distiller<>> && DistillPolicy<Distiller<GoodScorer, TopK>>);
static_assert(!DistillPolicy<NoWindow> && !DistillPolicy<ReturnsIndices>);
static_assert(!DistillPolicy<ChangesItself> && !DistillPolicy<TopK> && !DistillPolicy<Schedule>);
static_assert(std::is_convertible_v<GoodPolicy, AnyDistiller>);
static_assert(!std::is_convertible_v<NoWindow, AnyDistiller>);
static_assert(std::is_copy_constructible_v<AnyDistiller> &&
              std::is_copy_assignable_v<AnyDistiller>);

struct Evicts {
  void evict(const CacheProbe&, LayerCache&);
};
struct EvictsNothing {};
static_assert(CachePolicy<KeepCache> && CachePolicy<Evicts> && !CachePolicy<EvictsNothing>);

/// Counts itself, so that a test sees how many there are.
struct Counted : NoDistill {
  explicit Counted(std::shared_ptr<int> number) : token(std::move(number)) {}
  bool selects_at(std::int64_t) const { return true; }
  std::int64_t window(std::int64_t) const { return ++*token; }
  std::shared_ptr<int> token;
};

struct MoveOnly : NoDistill {
  explicit MoveOnly(std::int64_t queries) : number(std::make_unique<std::int64_t>(queries)) {}
  std::int64_t window(std::int64_t) const { return *number; }
  std::unique_ptr<std::int64_t> number;
};

TEST_CASE("any distiller is the one it holds", "[policy]") {
  Random random(91);
  for (int i = 0; i < 60; ++i) {
    const std::int64_t window = random.between(1, 4), tokens = random.between(window, 30);
    const std::vector<Stage> stages{{1, Count{random.between(1, 9)}}, {4, Ratio{0.3}}};
    const Distiller held(Schedule(stages, random.between(0, 2)),
                         Pooled(HeadWeighted(ObservationWindowScorer(window), {{4, {2, 3}}})),
                         TopK(random.between(0, 3)));
    const AnyDistiller any = held;
    AnyDistiller assigned;
    assigned = any;
    const at::Tensor positions = at::arange(tokens, at::kLong);
    for (const AnyDistiller* policy : {&any, &std::as_const(assigned)}) {
      for (std::int64_t layer = 0; layer < 6; ++layer) {
        CHECK(policy->selects_at(layer) == held.selects_at(layer));
        CHECK(policy->truncates_at(layer) == held.truncates_at(layer));
        CHECK(policy->window(layer) == held.window(layer));
        const LayerProbe probe{layer, random.normal({4, window, 4}), random.normal({2, tokens, 4}),
                               positions.slice(0, tokens - window), positions};
        const Selection wanted = held.select(probe), got = policy->select(probe);
        REQUIRE(got.indices.defined() == wanted.indices.defined());
        REQUIRE(got.scores.defined() == wanted.scores.defined());
        if (!wanted.indices.defined()) continue;
        CHECK(at::equal(got.indices, wanted.indices));
        CHECK(at::equal(got.scores, wanted.scores));
      }
      CHECK_NOTHROW(policy->check(6, 4));
      check_index_error([&] { policy->check(5, 4); }, {"before the last layer"});
      check_index_error([&] { policy->check(6, 3); }, {"voting head must exist"});
    }
  }
}

TEST_CASE("copies share what they hold", "[policy]") {
  auto number = std::make_shared<int>(0);
  AnyDistiller first = Counted(number);
  CHECK(number.use_count() == 2);
  AnyDistiller second = first;
  const AnyDistiller third = second;
  CHECK(number.use_count() == 2);
  CHECK(first.window(0) == 1);
  CHECK(second.window(0) == 2);
  CHECK(third.window(0) == 3);
  first = AnyDistiller();
  second = first;
  CHECK(number.use_count() == 2);  // the third keeps it
  CHECK(third.selects_at(0));
  CHECK_FALSE(first.selects_at(0));
  const AnyDistiller moved = AnyDistiller(MoveOnly(5));
  CHECK(moved.window(0) == 5);
}

TEST_CASE("an empty any distiller keeps every token", "[policy]") {
  const AnyDistiller any;
  CHECK_NOTHROW(any.check(1, 1));
  for (std::int64_t layer = 0; layer < 4; ++layer) {
    CHECK_FALSE(any.selects_at(layer));
    CHECK_FALSE(any.truncates_at(layer));
    CHECK_FALSE(select(any, layer, at::ones({1, 1, 1, 2}), at::ones({1, 1, 3, 2}),
                       at::arange(3, at::kLong)));
  }
  CHECK_FALSE(make_distiller({}).selects_at(0));
}

}  // namespace
}  // namespace promptdistill::test
