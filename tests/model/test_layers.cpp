// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// RoPE, RmsNorm and the MLP against double-precision loops.

#include "promptdistill/model/layers.hpp"
#include "promptdistill/model/mlp.hpp"
#include "promptdistill/model/rope.hpp"
#include "tests/catch.hpp"
#include "tests/io/tiny_lm.hpp"

namespace promptdistill::test {
namespace {

ModelConfig rope_config(RopeConfig::Type type, double theta, std::int64_t head_dim) {
  ModelConfig config;
  config.head_dim = config.rope.rotary_dim = head_dim;
  config.rope.type = type;
  config.rope.theta = theta;
  config.rope.factor = 8;
  config.rope.low_freq_factor = 1;
  config.rope.high_freq_factor = 4;
  config.rope.original_max_position_embeddings = 8192;
  return config;
}

TEST_CASE("angles follow the formula at any position", "[model]") {
  const auto type = GENERATE(RopeConfig::Type::kDefault, RopeConfig::Type::kLlama3);
  const double theta = GENERATE(10000.0, 500000.0);
  const std::int64_t head_dim = GENERATE(2, 8, 64, 128);
  const ModelConfig config = rope_config(type, theta, head_dim);
  const std::vector<double> frequencies = naive_frequencies(config);
  const Ids positions{0, 1, 2, 8191, 100000};
  const RotaryAngles angles =
      Rope(config, at::kCPU).at_positions(at::tensor(positions, at::kLong), at::kFloat, 0);
  REQUIRE(angles.cos.sizes() == at::IntArrayRef{5, 1, head_dim / 2});
  REQUIRE(angles.sin.sizes() == angles.cos.sizes());
  for (std::int64_t p = 0; p < 5; ++p) {
    for (std::int64_t i = 0; i < head_dim / 2; ++i) {
      const double angle = static_cast<double>(positions[static_cast<std::size_t>(p)]) *
                           frequencies[static_cast<std::size_t>(i)];
      // float32 frequencies, as Hugging Face has them, are off by some 1e-6 of themselves.
      const double bound = 2e-6 + 1.5e-6 * angle;
      INFO("position " << p << ", frequency " << i << ", angle " << angle);
      CHECK(std::abs(angles.cos[p][0][i].item<double>() - std::cos(angle)) < bound);
      CHECK(std::abs(angles.sin[p][0][i].item<double>() - std::sin(angle)) < bound);
    }
  }
  CHECK(at::equal(angles.cos[0], at::ones({1, head_dim / 2})));
}

TEST_CASE("llama3 slows long waves, leaves short ones and blends between", "[model]") {
  const auto plain = naive_frequencies(rope_config(RopeConfig::Type::kDefault, 500000, 128));
  const ModelConfig config = rope_config(RopeConfig::Type::kLlama3, 500000, 128);
  const RotaryAngles one =
      Rope(config, at::kCPU).at_positions(at::tensor({std::int64_t{1}}, at::kLong), at::kFloat, 0);
  int kept = 0, slowed = 0, between = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const double ratio =
        std::asin(one.sin[0][0][static_cast<std::int64_t>(i)].item<double>()) / plain[i];
    if (std::abs(ratio - 1) < 1e-4) {
      ++kept;
    } else if (std::abs(ratio - 0.125) < 1e-4) {
      ++slowed;
    } else {
      CHECK((ratio > 0.125 && ratio < 1));
      ++between;
    }
  }
  CHECK(kept > 20);
  CHECK(slowed > 20);
  CHECK(between >= 5);
}

TEST_CASE("rotation turns the half-split pairs and keeps their length", "[model]") {
  // Heads below a vector's width, of whole vectors, and with a rest behind them.
  const std::int64_t size = GENERATE(6, 64, 70), half = size / 2;
  const auto dtype = GENERATE(at::kFloat, at::kBFloat16);
  const ModelConfig config = rope_config(RopeConfig::Type::kDefault, 100, size);
  const Ids positions{0, 3, 50, 51};
  const RotaryAngles angles =
      Rope(config, at::kCPU).at_positions(at::tensor(positions, at::kLong), dtype, 0);
  const at::Tensor x = at::randn({4, 2, size}).to(dtype), y = angles.rotate_(x.clone());
  const std::vector<double> frequencies = naive_frequencies(config);
  const auto f = at::tensor(frequencies, at::kDouble);
  const at::Tensor angle = at::tensor(positions, at::kDouble).view({4, 1, 1}) * f,
                   a = x.to(at::kDouble).narrow(-1, 0, half),
                   b = x.to(at::kDouble).narrow(-1, half, half);
  const at::Tensor expected =
      at::cat({a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()}, -1);
  // bfloat16 rounds the angles' cosines and sines, the products and the sum.
  CHECK((y.to(at::kDouble) - expected).abs().max().item<double>() <
        (dtype == at::kFloat ? 1e-4 : 0.05));
  CHECK(at::equal(y[0], x[0]));
  // Heads that are a view of a wider projection.
  const at::Tensor wide = at::randn({4, 3, size}).to(dtype);
  CHECK(at::equal(angles.rotate_(wide.clone().narrow(1, 1, 2)),
                  angles.rotate_(wide.narrow(1, 1, 2).clone())));
}

TEST_CASE("RmsNorm divides by the root of the mean square", "[model]") {
  const double eps = GENERATE(0.0, 1e-5, 0.1);
  const at::Tensor x = at::randn({3, 16}), weight = at::randn({16});
  const at::Tensor y = RmsNorm{weight, eps}(x);
  for (std::int64_t s = 0; s < 3; ++s) {
    double sum = 0;
    for (std::int64_t i = 0; i < 16; ++i) sum += std::pow(x[s][i].item<double>(), 2);
    for (std::int64_t i = 0; i < 16; ++i) {
      const double expected =
          x[s][i].item<double>() / std::sqrt(sum / 16 + eps) * weight[i].item<double>();
      CHECK(std::abs(y[s][i].item<double>() - expected) < 1e-5);
    }
  }
}

TEST_CASE("RmsNorm squares in float32 where the dtype would overflow", "[model]") {
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16}) {
    const at::Tensor y = RmsNorm{at::ones({4}, dtype), 0}(at::full({1, 4}, 1000.0, dtype));
    CHECK(y.scalar_type() == dtype);
    CHECK(apart(y, at::ones({1, 4})) < 1e-2);
  }
}

TEST_CASE("the MLP is down(silu(gate) * up), with and without biases", "[model]") {
  const bool bias = GENERATE(false, true);
  const auto linear = [&](std::int64_t out, std::int64_t in) {
    return Linear{at::randn({out, in}), bias ? at::randn({out}) : at::Tensor()};
  };
  const Mlp mlp{linear(5, 4), linear(5, 4), linear(4, 5)};
  const at::Tensor x = at::randn({3, 4}), before = x.clone(), y = mlp(x);
  const auto apply = [](const Linear& layer, const std::vector<double>& in) {
    std::vector<double> out;
    for (std::int64_t o = 0; o < layer.weight.size(0); ++o) {
      double sum = layer.bias.defined() ? layer.bias[o].item<double>() : 0;
      for (std::size_t i = 0; i < in.size(); ++i)
        sum += layer.weight[o][static_cast<std::int64_t>(i)].item<double>() * in[i];
      out.push_back(sum);
    }
    return out;
  };
  for (std::int64_t s = 0; s < 3; ++s) {
    std::vector<double> in;
    for (std::int64_t i = 0; i < 4; ++i) in.push_back(x[s][i].item<double>());
    std::vector<double> gate = apply(mlp.gate_proj, in);
    const std::vector<double> up = apply(mlp.up_proj, in);
    for (std::size_t i = 0; i < gate.size(); ++i)
      gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
    const std::vector<double> out = apply(mlp.down_proj, gate);
    for (std::int64_t i = 0; i < 4; ++i)
      CHECK(std::abs(y[s][i].item<double>() - out[static_cast<std::size_t>(i)]) < 1e-4);
  }
  CHECK(at::equal(x, before));
}

}  // namespace
}  // namespace promptdistill::test
