// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Every scorer, pooling, selector and batch shape against the formulas in plain loops over doubles.

#include <array>
#include <cmath>
#include <optional>

#include "tests/core/test_support.hpp"

namespace promptdistill::test {
namespace {

using Doubles = std::vector<double>;

/// What a scorer, a smoothing and a selector are, in words of the method.
struct Method {
  std::int64_t window = 0;    // 0: the last query's raw logits
  bool raw = false;           // a window's logits, averaged, and not their softmax
  std::int64_t skip = 0;      // last tokens that do not score
  std::vector<bool> votes{};  // per query head; empty: all vote
  std::int64_t pool = 0;      // 0: not smoothed, the tail's scores left as they are
  std::int64_t protect_first = 0, protect_last = 0;
  Budget budget = Count{1};

  std::int64_t tail() const { return (window == 0 ? 1 : window) + skip; }
};

/// The formulas on one row; q[h][w][d], k[g][t][d].
class Formula {
 public:
  Formula(const LayerProbe& probe, const Method& method)
      : method_(method),
        heads_(probe.queries.size(0)),
        groups_(probe.keys.size(0)),
        window_(probe.queries.size(1)),
        tokens_(probe.keys.size(1)),
        size_(probe.keys.size(2)),
        q_(doubles(probe.queries)),
        k_(doubles(probe.keys)),
        positions_(to_ids(probe.positions)),
        query_positions_(to_ids(probe.query_positions)) {}

  Doubles scores() const {
    Doubles sums(static_cast<std::size_t>(tokens_), 0.0);
    double voters = 0;
    for (std::int64_t h = 0; h < heads_; ++h) {
      if (!method_.votes.empty() && !method_.votes[static_cast<std::size_t>(h)]) continue;
      voters += 1;
      const std::int64_t scoring = std::max<std::int64_t>(window_ - method_.skip, 1);
      for (std::int64_t w = 0; w < scoring; ++w) {
        if (method_.window > 0 && !method_.raw) {
          add_softmax(h, w, sums);
        } else if (method_.window > 0 || w == scoring - 1) {
          const double share = method_.window > 0 ? static_cast<double>(scoring) : 1;
          for (std::int64_t j = 0; j < tokens_; ++j) at(sums, j) += logit(h, w, j) / share;
        }
      }
    }
    for (double& sum : sums) sum /= voters;
    if (method_.pool == 0) return sums;
    for (std::int64_t j = std::max<std::int64_t>(tokens_ - method_.tail(), 0); j < tokens_; ++j)
      at(sums, j) = 0;
    Doubles smooth;
    for (std::int64_t j = 0; j < tokens_; ++j) {
      double sum = 0;
      for (std::int64_t i = j - method_.pool / 2; i <= j + method_.pool / 2; ++i)
        if (i >= 0 && i < tokens_) sum += at(sums, i);
      smooth.push_back(sum / static_cast<double>(method_.pool));
    }
    return smooth;
  }

  std::int64_t end() const {
    return std::max<std::int64_t>(tokens_ - std::max(method_.tail(), method_.protect_last), 0);
  }
  std::int64_t begin() const { return std::min(method_.protect_first, end()); }
  std::int64_t between() const { return end() - begin(); }
  std::int64_t budget() const {
    if (const auto* count = std::get_if<Count>(&method_.budget)) return count->tokens;
    return static_cast<std::int64_t>(
        std::ceil(std::get<Ratio>(method_.budget).share * static_cast<double>(between())));
  }

 private:
  static Doubles doubles(const at::Tensor& tensor) {
    const at::Tensor flat = tensor.to(at::kDouble).contiguous();
    return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
  }
  static double& at(Doubles& values, std::int64_t i) {
    return values.at(static_cast<std::size_t>(i));
  }

  double logit(std::int64_t h, std::int64_t w, std::int64_t j) const {
    const std::int64_t g = h / (heads_ / groups_);  // heads 0 .. H/G-1 share KV head 0, and so on
    double sum = 0;
    for (std::int64_t d = 0; d < size_; ++d)
      sum += q_.at(static_cast<std::size_t>((h * window_ + w) * size_ + d)) *
             k_.at(static_cast<std::size_t>((g * tokens_ + j) * size_ + d));
    return sum / std::sqrt(static_cast<double>(size_));
  }

  void add_softmax(std::int64_t h, std::int64_t w, Doubles& sums) const {
    const auto visible = [&](std::int64_t j) {
      return positions_[static_cast<std::size_t>(j)] <=
             query_positions_[static_cast<std::size_t>(w)];
    };
    double total = 0;
    for (std::int64_t j = 0; j < tokens_; ++j)
      if (visible(j)) total += std::exp(logit(h, w, j));
    for (std::int64_t j = 0; j < tokens_; ++j)
      if (visible(j)) at(sums, j) += std::exp(logit(h, w, j)) / total;
  }

  Method method_;
  std::int64_t heads_, groups_, window_, tokens_, size_;
  Doubles q_, k_;
  Ids positions_, query_positions_;
};

/// The library's policy for the same method, built from its types.
AnyDistiller policy_of(const Method& method) {
  const Schedule schedule({{4, method.budget}});
  const TopK selector(method.protect_first, method.protect_last);
  const auto smooth = [&](auto scorer) -> AnyDistiller {
    if (method.pool == 0) return Distiller(schedule, scorer, selector);
    return Distiller(schedule, Pooled(scorer, method.pool), selector);
  };
  const auto weigh = [&](auto raw) -> AnyDistiller {
    if (method.votes.empty()) return smooth(raw);
    Ids heads;
    for (std::size_t h = 0; h < method.votes.size(); ++h)
      if (method.votes[h]) heads.push_back(static_cast<std::int64_t>(h));
    return smooth(HeadWeighted(raw, HeadMap{{3, {0}}, {4, heads}}));
  };
  const auto skip = [&](auto raw) {
    return method.skip == 0 ? weigh(raw) : weigh(SkipLast(raw, method.skip));
  };
  if (method.window == 0) return skip(LastQueryScorer{});
  if (method.raw) return skip(RawWindowScorer(method.window));
  return skip(ObservationWindowScorer(method.window));
}

/// A row of `tokens` tokens at ascending positions with gaps, as after an earlier selection.
LayerProbe random_probe(
    Random& random, std::int64_t tokens, std::int64_t heads, std::int64_t groups, std::int64_t w) {
  Ids positions;
  std::int64_t next = random.between(0, 3);
  for (std::int64_t t = 0; t < tokens; ++t) {
    positions.push_back(next);
    next += random.between(1, 3);
  }
  const at::Tensor all = longs(positions);
  const std::int64_t size = random.between(1, 6), window = std::min(w, tokens);
  return {4, random.normal({heads, window, size}), random.normal({groups, tokens, size}),
          all.slice(0, tokens - window), all};
}

/// Checks one row's choice; returns whether a tie within rounding left it more than one right one.
bool check_row(const LayerProbe& probe,
               const Method& method,
               const std::optional<Ids>& kept,
               const at::Tensor& scores) {
  const Formula formula(probe, method);
  const std::int64_t tokens = probe.tokens(), begin = formula.begin(), end = formula.end();
  if (formula.budget() >= formula.between()) {
    CHECK_FALSE(scores.defined());
    CHECK((!kept || *kept == to_ids(at::arange(tokens))));
    return false;
  }
  const Doubles expected = formula.scores();
  REQUIRE(scores.scalar_type() == at::kFloat);
  REQUIRE(scores.numel() == tokens);
  for (std::int64_t j = 0; j < tokens; ++j)
    CHECK(scores[j].item<double>() ==
          Approx(expected[static_cast<std::size_t>(j)]).epsilon(1e-4).margin(1e-5));

  REQUIRE(kept);
  Ids order = to_ids(at::arange(begin, end));
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return expected[static_cast<std::size_t>(a)] > expected[static_cast<std::size_t>(b)];
  });
  const auto k = static_cast<std::size_t>(formula.budget());
  const double gap = expected[static_cast<std::size_t>(order[k - 1])] -
                     expected[static_cast<std::size_t>(order[k])];
  Ids right = to_ids(at::arange(begin));
  right.insert(right.end(), order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k));
  for (std::int64_t j = end; j < tokens; ++j) right.push_back(j);
  std::sort(right.begin(), right.end());
  CHECK(kept->size() == right.size());
  if (gap >= 1e-5) {
    CHECK(*kept == right);
    return false;
  }
  double worst_kept = INFINITY, best_dropped = -INFINITY;
  for (std::int64_t j = begin; j < end; ++j) {
    const double score = expected[static_cast<std::size_t>(j)];
    if (std::binary_search(kept->begin(), kept->end(), j))
      worst_kept = std::min(worst_kept, score);
    else
      best_dropped = std::max(best_dropped, score);
  }
  CHECK(worst_kept >= best_dropped - 1e-5);
  return true;
}

TEST_CASE("every scorer, pooling and selector keeps what the formulas keep", "[policy]") {
  Random random(61);
  const std::int64_t window = GENERATE(0, 1, 4, 16), pool = GENERATE(0, 1, 5, 15),
                     protect_first = GENERATE(0, 3), protect_last = GENERATE(0, 9);
  const bool chosen_heads = GENERATE(false, true), raw = GENERATE(false, true);
  const std::int64_t skip = GENERATE(0, 3);
  std::int64_t rows = 0, ties = 0;
  for (std::int64_t batch = 1; batch <= 5; ++batch) {
    for (int i = 0; i < 4; ++i) {
      const std::int64_t groups = random.between(1, 3), heads = groups * random.between(1, 3);
      Method method{window, raw, skip, {}, pool, protect_first, protect_last};
      if (chosen_heads) {
        for (std::int64_t h = 0; h < heads; ++h) method.votes.push_back(random.between(0, 1) == 1);
        method.votes[static_cast<std::size_t>(random.between(0, heads - 1))] = true;
      }
      const auto share = static_cast<double>(random.between(1, 64)) / 64;
      if (i % 2 == 0) method.budget = Count{random.between(1, 20)};
      if (i % 2 == 1) method.budget = Ratio{share};
      const AnyDistiller policy = policy_of(method);
      std::vector<LayerProbe> probes;
      for (const std::int64_t length : random.lengths(batch, 40))
        probes.push_back(random_probe(random, length, heads, groups, policy.window(4)));
      const StageSelection chosen = select(policy, probes);
      for (std::int64_t b = 0; b < batch; ++b) {
        std::optional<Ids> kept;
        if (chosen.retention) kept = to_ids(chosen.retention->row(b));
        const auto row = static_cast<std::size_t>(b);
        ties += check_row(probes[row], method, kept, chosen.scores[row]);
        ++rows;
      }
    }
  }
  // A kernel that reaches over a whole short row gives its tokens one and the same score.
  CHECK(ties * (pool > 5 ? 3 : 20) <= rows);
}

TEST_CASE("kept indices ascend, are distinct and hold the ends", "[policy]") {
  Random random(62);
  for (int i = 0; i < 300; ++i) {
    const std::int64_t tokens = random.between(1, 60), tail = random.between(1, 9),
                       first = random.between(0, 5);
    const TopK selector(first);
    const std::int64_t candidates = selector.candidates(tokens, tail);
    CHECK(candidates == std::max<std::int64_t>(tokens - tail - first, 0));
    if (candidates < 2) continue;
    const std::int64_t k = random.between(1, candidates - 1);
    const Ids kept = to_ids(selector.select(random.normal({tokens}), k, tail));
    REQUIRE(kept.size() == static_cast<std::size_t>(first + k + tail));
    CHECK(std::adjacent_find(kept.begin(), kept.end(), std::greater_equal<>()) == kept.end());
    for (std::int64_t j = 0; j < first; ++j) CHECK(kept[static_cast<std::size_t>(j)] == j);
    for (std::int64_t j = 0; j < tail; ++j)
      CHECK(kept[kept.size() - 1 - static_cast<std::size_t>(j)] == tokens - 1 - j);
  }
}

TEST_CASE("a row of a batch is chosen as the same prompt alone", "[policy]") {
  Random random(63);
  for (int i = 0; i < 50; ++i) {
    const Method method{random.between(0, 5), false,   0, {}, 5, random.between(0, 3),
                        random.between(0, 9), Count{4}};
    const AnyDistiller policy = policy_of(method);
    std::vector<LayerProbe> probes;
    for (const std::int64_t length : random.lengths(5, 30))
      probes.push_back(random_probe(random, length, 4, 2, policy.window(4)));
    const StageSelection together = select(policy, probes);
    if (!together.retention) continue;
    for (std::size_t b = 0; b < probes.size(); ++b) {
      const StageSelection alone = select(policy, std::span(&probes[b], 1));
      CHECK(together.retention->kept(static_cast<std::int64_t>(b)) ==
            (alone.retention ? alone.retention->kept(0) : probes[b].tokens()));
      if (alone.retention)
        CHECK(at::equal(together.retention->row(static_cast<std::int64_t>(b)),
                        alone.retention->row(0)));
    }
  }
}

}  // namespace
}  // namespace promptdistill::test
