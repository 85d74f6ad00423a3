// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Scorers and smoothing one by one: float32 scores from any dtype and stride, heads, kernels,
// errors.

#include <cmath>
#include <limits>

#include "tests/core/test_support.hpp"

namespace promptdistill::test {
namespace {

LayerProbe probe_of(Random& random, std::int64_t tokens, std::int64_t window) {
  const at::Tensor positions = at::arange(tokens, at::kLong);
  return {4, random.normal({6, window, 8}), random.normal({2, tokens, 8}),
          positions.slice(0, tokens - window), positions};
}

/// A scorer of two heads whose scores are given.
struct GivenHeads {
  at::Tensor scores;  // [H, T]
  std::int64_t tail() const { return 1; }
  at::Tensor head_scores(const LayerProbe&) const { return scores; }
};
static_assert(HeadScorer<GivenHeads> && !Scorer<GivenHeads>);

struct GivenScores {
  at::Tensor scores;  // [T]
  std::int64_t tails;
  std::int64_t tail() const { return tails; }
  void check_heads(std::int64_t) const {}
  at::Tensor score(const LayerProbe&) const { return scores; }
};

TEST_CASE("scores are float32 whatever the dtype and strides", "[policy]") {
  Random random(81);
  for (int i = 0; i < 40; ++i) {
    const std::int64_t window = random.between(1, 5), tokens = random.between(window, 30);
    const LayerProbe plain = probe_of(random, tokens, window);
    for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble}) {
      LayerProbe probe = plain, exact = plain;
      probe.queries = plain.queries.to(dtype).transpose(0, 1).contiguous().transpose(0, 1);
      probe.keys = plain.keys.to(dtype).permute({2, 0, 1}).contiguous().permute({1, 2, 0});
      exact.queries = probe.queries.to(at::kFloat).contiguous();
      exact.keys = probe.keys.to(at::kFloat).contiguous();
      const at::Tensor queries_before = probe.queries.clone(), keys_before = probe.keys.clone();
      const at::Tensor last = exact.queries.select(1, window - 1).to(at::kDouble);
      const at::Tensor keys = exact.keys.to(at::kDouble).repeat_interleave(3, 0);  // [H, T, D]
      const at::Tensor logits = at::matmul(keys, last.unsqueeze(2)).squeeze(2) / std::sqrt(8.0);
      CHECK(at::allclose(LastQueryScorer{}.head_scores(probe).to(at::kDouble), logits, 1e-5, 1e-5));
      const auto same = [&](const auto& scorer) {
        const at::Tensor scores = scorer.score(probe);
        CHECK(scores.scalar_type() == at::kFloat);
        REQUIRE(scores.sizes() == at::IntArrayRef{tokens});
        CHECK(at::allclose(scores, scorer.score(exact), 1e-5, 1e-6));
      };
      same(LastQueryScorer{});
      same(ObservationWindowScorer(window));
      same(HeadWeighted(LastQueryScorer{}, HeadMap{{4, {5, 1}}}));
      same(Pooled(ObservationWindowScorer(window), 5));
      CHECK(at::equal(probe.queries, queries_before));  // the probe is not changed
      CHECK(at::equal(probe.keys, keys_before));
      CHECK(LastQueryScorer{}.head_scores(probe).sizes() == at::IntArrayRef{6, tokens});
      CHECK(ObservationWindowScorer(window).head_scores(probe).sizes() ==
            at::IntArrayRef{6, tokens});
    }
  }
}

TEST_CASE("bfloat16 tokens that differ by less than its step still rank", "[policy]") {
  // Products of bfloat16 numbers whose float32 sums differ where bfloat16's would tie.
  const at::Tensor keys = at::tensor({16.0F, 0.0F, 16.0F, 0.0078125F, 0.0F, 0.0F}, at::kFloat);
  const LayerProbe probe{0, at::ones({1, 1, 2}, at::kBFloat16),
                         keys.view({1, 3, 2}).to(at::kBFloat16), longs({2}), longs({0, 1, 2})};
  const at::Tensor scores = LastQueryScorer{}.score(probe);
  CHECK(scores[1].item<float>() > scores[0].item<float>());
  CHECK(scores.to(at::kBFloat16)[1].item<float>() == scores.to(at::kBFloat16)[0].item<float>());
}

TEST_CASE("window scores of a head are as many as its queries, and none from later keys",
          "[policy]") {
  Random random(82);
  for (int i = 0; i < 40; ++i) {
    const std::int64_t window = random.between(1, 6), tokens = random.between(window, 20);
    LayerProbe probe = probe_of(random, tokens, window);
    const at::Tensor scores = ObservationWindowScorer(window).head_scores(probe);
    CHECK(at::allclose(scores.sum(1), at::full({6}, static_cast<double>(window), at::kFloat)));
    // The last token is seen by its own query alone: less than one unit for every head.
    CHECK(scores.select(1, tokens - 1).le(1.0 + 1e-5).all().item<bool>());
    // A change of the last key leaves what the earlier queries saw as it was.
    if (window == 1) continue;
    LayerProbe earlier = probe;
    earlier.queries = probe.queries.narrow(1, 0, window - 1);
    earlier.query_positions = probe.query_positions.narrow(0, 0, window - 1);
    const at::Tensor before = ObservationWindowScorer(window).score(earlier);
    earlier.keys = probe.keys.clone();
    earlier.keys.select(1, tokens - 1).fill_(50);
    CHECK(at::equal(before, ObservationWindowScorer(window).score(earlier)));
  }
}

TEST_CASE("only the heads named for the layer vote", "[policy]") {
  Random random(83);
  const at::Tensor scores = random.normal({2, 5});
  LayerProbe probe = probe_of(random, 5, 1);
  probe.queries = random.normal({2, 1, 8});
  const auto vote = [&](HeadMap heads) {
    return HeadWeighted(GivenHeads{scores}, std::move(heads)).score(probe);
  };
  CHECK(at::equal(vote({{4, {1}}}), scores[1]));
  CHECK(at::equal(vote({{4, {0}}, {5, {1}}}), scores[0]));
  CHECK(at::allclose(vote({{5, {1}}}), scores.mean(0)));
  CHECK(at::allclose(vote({}), scores.mean(0)));
  CHECK(at::allclose(vote({{4, {1, 0}}}), scores.mean(0)));
  CHECK(HeadWeighted(ObservationWindowScorer(7)).tail() == 7);
  check_index_error([&] { vote({{4, {2}}}); }, {"query heads 0 to 1, got 2 for layer 4"});
  check_index_error([&] { vote({{9, {-1}}}); }, {"got -1 for layer 9"});
  check_value_error([&] { vote({{4, {}}}); }, {"layer 4 must exist and name at least one"});
  check_value_error([&] { vote({{-3, {0}}}); }, {"layer -3 must exist"});
}

TEST_CASE("smoothing counts its padding, and the tail as zero", "[policy]") {
  Random random(84);
  const LayerProbe probe = probe_of(random, 4, 1);
  const at::Tensor raw = at::tensor({1.0F, 2.0F, 4.0F, 100.0F});
  const auto smooth = [&](std::int64_t kernel, std::int64_t tail) {
    return Pooled(GivenScores{raw, tail}, kernel).score(probe);
  };
  const auto equal = [](const at::Tensor& got, std::vector<float> expected) {
    return at::allclose(got, at::tensor(expected));
  };
  CHECK(equal(smooth(1, 1), {1, 2, 4, 0}));
  CHECK(equal(smooth(1, 3), {1, 0, 0, 0}));
  CHECK(equal(smooth(3, 1), {1, 7.0F / 3, 2, 4.0F / 3}));
  CHECK(equal(smooth(5, 1), {1.4F, 1.4F, 1.4F, 1.2F}));
  CHECK(equal(smooth(31, 1), {7.0F / 31, 7.0F / 31, 7.0F / 31, 7.0F / 31}));
  CHECK(equal(smooth(5, 9), {0, 0, 0, 0}));
  CHECK(equal(raw, {1, 2, 4, 100}));  // what a user's scorer returned is not changed
  const at::Tensor shared = at::tensor({2.0F}).expand({4});
  CHECK(equal(Pooled(GivenScores{shared, 1}, 3).score(probe), {4.0F / 3, 2, 4.0F / 3, 2.0F / 3}));
  CHECK(Pooled(ObservationWindowScorer(6)).tail() == 6);
}

TEST_CASE("settings that break their rule are refused", "[policy]") {
  for (const std::int64_t kernel : {0, -1, -5, 2, 4, 16})
    check_value_error([&] { Pooled(LastQueryScorer{}, kernel); },
                      {"kernel must be odd and at least 1, got " + std::to_string(kernel)});
  for (const std::int64_t window :
       {std::int64_t{0}, std::int64_t{-4}, std::numeric_limits<std::int64_t>::min()})
    check_value_error([&] { ObservationWindowScorer{window}; },
                      {"must have at least 1 query, got " + std::to_string(window)});
  for (const std::int64_t count : {std::int64_t{-1}, std::numeric_limits<std::int64_t>::min()}) {
    const std::string rule = " tokens must not be negative, got " + std::to_string(count);
    check_value_error([&] { TopK{count}; }, {"protected first" + rule});
    check_value_error([&] { TopK(4, count); }, {"protected last" + rule});
  }
}

TEST_CASE("settings as large as a number can be protect everything", "[policy]") {
  Random random(85);
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  CHECK(TopK(huge).candidates(9, 1) == 0);
  CHECK(TopK(0).candidates(9, huge) == 0);
  CHECK(TopK(huge).candidates(9, huge) == 0);
  CHECK(TopK(0, huge).candidates(9, 1) == 0);
  CHECK(TopK(huge, huge).candidates(9, 1) == 0);
  CHECK(to_ids(TopK(huge).select(at::zeros({3}), 1, 1)) == Ids{0, 1, 2});
  CHECK(to_ids(TopK(0).select(at::zeros({3}), 1, huge)) == Ids{0, 1, 2});
  CHECK_FALSE(select(Distiller(Schedule({{4, Count{1}}}), ObservationWindowScorer(huge)), 4,
                     random.normal({1, 2, 5, 4}), random.normal({1, 2, 5, 4}),
                     at::arange(5, at::kLong)));
}

}  // namespace
}  // namespace promptdistill::test
