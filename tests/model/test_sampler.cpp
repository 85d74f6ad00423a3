// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The sampler's frequencies against exact probabilities, its seeds, and its refusals.

#include <functional>
#include <numeric>

#include "promptdistill/model/sampler.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"
#include "tests/io/tiny_lm.hpp"

namespace promptdistill::test {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
const std::vector<double> kLogits{0.5, 2.0, -1.0, 1.5, 0.0, 2.5, -3.0, 1.0};

at::Tensor logits() { return at::tensor(kLogits, at::kFloat); }

SamplingOptions options(double temperature, std::int64_t top_k = 0, double top_p = 1) {
  SamplingOptions out;
  out.temperature = temperature;
  out.top_k = top_k;
  out.top_p = top_p;
  out.seed = 42;
  return out;
}

/// The probabilities that temperature, then top-k, then top-p leave.
std::vector<double> exact(double temperature, std::size_t top_k, double top_p) {
  std::vector<std::size_t> order(kLogits.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [](auto a, auto b) { return kLogits[a] > kLogits[b]; });
  if (top_k > 0 && top_k < order.size()) order.resize(top_k);
  double sum = 0;
  for (const std::size_t i : order) sum += std::exp(kLogits[i] / temperature);
  double before = 0, left = 0;
  std::vector<double> out(kLogits.size(), 0.0);
  for (const std::size_t i : order) {
    const double share = std::exp(kLogits[i] / temperature) / sum;
    if (before < top_p) left += out[i] = share;
    before += share;
  }
  for (double& share : out) share /= left;
  return out;
}

TEST_CASE("the frequencies are the probabilities", "[model]") {
  struct Setting {
    double temperature;
    std::int64_t top_k;
    double top_p;
  };
  for (const Setting s :
       {Setting{1, 0, 1}, Setting{0.5, 0, 1}, Setting{3, 0, 1}, Setting{1, 3, 1}, Setting{1, 1, 1},
        Setting{1, 100, 1}, Setting{1, 0, 0.8}, Setting{2, 5, 0.7}, Setting{0.7, 4, 0.95}}) {
    INFO("temperature " << s.temperature << ", top-k " << s.top_k << ", top-p " << s.top_p);
    const std::vector<double> expected =
        exact(s.temperature, static_cast<std::size_t>(s.top_k), s.top_p);
    constexpr int kDraws = 8000;
    std::vector<int> seen(expected.size(), 0);
    Sampler sampler(options(s.temperature, s.top_k, s.top_p));
    for (int i = 0; i < kDraws; ++i) ++seen[static_cast<std::size_t>(sampler(logits()))];
    double chi_square = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (expected[i] == 0) {
        CHECK(seen[i] == 0);
        continue;
      }
      const double mean = kDraws * expected[i];
      chi_square += (seen[i] - mean) * (seen[i] - mean) / mean;
    }
    CHECK(chi_square < 24.3);  // 1 in 1,000 at 7 degrees of freedom; the seed is fixed
  }
}

TEST_CASE("temperature 0 takes the best, whatever else is set", "[model]") {
  for (std::int64_t k : {0, 1, 5}) {
    Sampler sampler(options(0, k, 0.5));
    for (int i = 0; i < 5; ++i) CHECK(sampler(logits()) == 5);
  }
}

TEST_CASE("a tiny top-p or temperature still leaves the best", "[model]") {
  Sampler nucleus(options(1, 0, 1e-12)), cold(options(1e-3)), colder(options(1e-310));
  for (int i = 0; i < 50; ++i) {
    CHECK(nucleus(logits()) == 5);
    CHECK(cold(logits()) == 5);
    CHECK(colder(logits()) == 5);
  }
  Sampler hot(options(1e300));
  std::set<std::int64_t> seen;
  for (int i = 0; i < 200; ++i) seen.insert(hot(logits()));
  CHECK(seen.size() == kLogits.size());
}

TEST_CASE("the repetition penalty is Hugging Face's", "[model]") {
  // What transformers 4.50.0's RepetitionPenaltyLogitsProcessor makes of these logits for the
  // tokens 5, 2, 5, 0, 4.
  struct Expected {
    double penalty;
    std::vector<double> logits;
  };
  const Expected expected[] = {{1.3, {0.38461539, 2.0, -1.3, 1.5, 0.0, 1.92307699, -3.0, 1.0}},
                               {0.7, {0.71428573, 2.0, -0.7, 1.5, 0.0, 3.57142854, -3.0, 1.0}}};
  const Ids seen{5, 2, 5, 0, 4};
  for (const Expected& e : expected) {
    // Greedy shows the order of every two tokens.
    for (std::int64_t a = 0; a < 8; ++a) {
      for (std::int64_t b = 0; b < 8; ++b) {
        SamplingOptions o = options(0);
        o.repetition_penalty = e.penalty;
        at::Tensor pair = at::full({8}, -kInf);
        pair[a] = logits()[a];
        pair[b] = logits()[b];
        const auto at = [&](std::int64_t i) { return e.logits[static_cast<std::size_t>(i)]; };
        const std::int64_t best = at(a) > at(b) ? a : at(b) > at(a) ? b : std::min(a, b);
        CHECK(Sampler(o)(pair, seen) == best);
      }
    }
    // Seeded draws are those from the expected logits without a penalty.
    SamplingOptions with = options(1.5), without = options(1.5);
    with.repetition_penalty = e.penalty;
    Sampler penalised(with), plain(without);
    const at::Tensor raw = logits(), target = at::tensor(e.logits, at::kFloat);
    for (int i = 0; i < 300; ++i) CHECK(penalised(raw, seen) == plain(target));
    CHECK(at::equal(raw, logits()));  // left as they were
  }
  SamplingOptions off = options(0);
  CHECK(Sampler(off)(logits(), seen) == 5);
  off.repetition_penalty = 1.3;
  CHECK(Sampler(off)(logits()) == 5);
  CHECK(Sampler(off)(logits(), seen) == 1);
}

TEST_CASE("a seed gives the same tokens, another seed others", "[model]") {
  const auto draw = [](std::uint64_t seed) {
    SamplingOptions o = options(1.5);
    o.seed = seed;
    Sampler sampler(o);
    Ids out;
    for (int i = 0; i < 40; ++i) out.push_back(sampler(logits()));
    return out;
  };
  CHECK(draw(1) == draw(1));
  CHECK(draw(1) != draw(2));
  CHECK(draw(UINT64_MAX) == draw(UINT64_MAX));
  // A sampler leaves the global random state alone and does not read it.
  at::manual_seed(3);
  const at::Tensor expected = at::rand({4});
  at::manual_seed(3);
  const Ids first = draw(1);
  CHECK(at::equal(at::rand({4}), expected));
  CHECK(draw(1) == first);
}

TEST_CASE("what is impossible is never drawn", "[model]") {
  at::Tensor masked = logits();
  masked[5] = -kInf;
  masked[1] = -kInf;
  for (const SamplingOptions& o : {options(0), options(1), options(1, 8), options(1, 0, 0.999)}) {
    Sampler sampler(o);
    for (int i = 0; i < 300; ++i) {
      const std::int64_t token = sampler(masked);
      CHECK((token != 5 && token != 1));
    }
  }
  at::Tensor single = at::full({8}, -kInf);
  single[2] = -4.0;
  CHECK(Sampler(options(1))(single) == 2);
  CHECK(Sampler(options(1))(at::zeros({1})) == 0);
}

TEST_CASE("logits without a best are refused before anything is drawn", "[model]") {
  const auto says = [](const at::Tensor& bad, const std::string& rule) {
    for (const SamplingOptions& o : {options(0), options(1)}) {
      Sampler sampler(o);
      CHECK(contains(message_of<c10::ValueError>([&] { sampler(bad); }), "promptdistill: " + rule));
      CHECK(sampler(logits()) == Sampler(o)(logits()));
    }
  };
  at::Tensor bad = logits();
  bad[3] = std::nan("");
  says(bad, "logits must be numbers, got NaN; the checkpoint's weights or the dtype overflow");
  bad[3] = kInf;
  says(bad, "the highest logit must be finite, got inf");
  says(at::full({8}, -kInf), "the highest logit must be finite, got -inf");
  says(at::zeros({1, 8}), "logits must be [V], got [1, 8]");
  says(at::zeros({0}), "logits must be [V], got [0]");
}

TEST_CASE("each bad setting is refused by its rule", "[model]") {
  const auto refusal = [](const SamplingOptions& o) {
    return message_of<c10::ValueError>([&] { Sampler sampler(o); });
  };
  CHECK(refusal(options(-1)) == "promptdistill: the temperature must be at least 0, got -1");
  CHECK(contains(refusal(options(kInf)), "the temperature must be at least 0"));
  CHECK(contains(refusal(options(std::nan(""))), "the temperature must be at least 0"));
  CHECK(refusal(options(1, -1)) == "promptdistill: top-k must be at least 0 (0: off), got -1");
  for (const double penalty : {0.0, -1.0, kInf, std::nan("")}) {
    SamplingOptions o = options(1);
    o.repetition_penalty = penalty;
    CHECK(contains(refusal(o), "promptdistill: the repetition penalty must be above 0 (1: off)"));
  }
  for (const double top_p : {0.0, -0.1, 1.5, std::nan("")})
    CHECK(contains(refusal(options(1, 0, top_p)),
                   "promptdistill: top-p must be above 0 and at most 1"));
}

}  // namespace
}  // namespace promptdistill::test
