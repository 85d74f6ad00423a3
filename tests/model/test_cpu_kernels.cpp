// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0

#include <ATen/Parallel.h>

#include <cmath>
#include <limits>
#include <vector>

#include "promptdistill/model/attention.hpp"
#include "promptdistill/model/layers.hpp"
#include "promptdistill/model/mlp.hpp"
#include "tests/catch.hpp"

namespace promptdistill {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The largest difference from a result in double, as a part of its largest number.
double off(const at::Tensor& got, const at::Tensor& expected) {
  REQUIRE(got.sizes() == expected.sizes());
  return at::Tensor(got.to(at::kDouble) - expected).abs().max().item<double>() /
         std::max(1e-30, expected.abs().max().item<double>());
}

/// What rounding once to the dtype leaves, with some room.
double rounding(at::ScalarType dtype) { return dtype == at::kFloat ? 1e-5 : 4e-3; }

/// A cache in parts that begin at row 0 and at each of `cuts`, none of them in one storage.
std::vector<CacheRows> in_parts(const at::Tensor& keys,  // [G, rows, D]
                                const at::Tensor& values,
                                std::vector<std::int64_t> cuts = {}) {
  std::vector<CacheRows> parts;
  std::int64_t begin = 0;
  cuts.push_back(keys.size(1));
  for (const std::int64_t end : cuts) {
    const auto piece = [&](const at::Tensor& whole) {
      const at::Tensor rows = whole.narrow(1, begin, end - begin);
      return cuts.size() == 1 ? rows : rows.clone();
    };
    parts.push_back({piece(keys), piece(values), at::arange(begin, end)});
    begin = end;
  }
  return parts;
}

/// softmax(q . k / sqrt(D)) v in double over the rows that `mask` [Tq, rows] names.
at::Tensor naive_attention(const at::Tensor& queries,  // [Tq, H, D]
                           const at::Tensor& keys,     // [G, rows, D]
                           const at::Tensor& values,
                           const at::Tensor& mask) {  // -> [Tq, H * D]
  const std::int64_t share = queries.size(1) / keys.size(0);
  const at::Tensor q = queries.to(at::kDouble).transpose(0, 1),
                   k = keys.to(at::kDouble).repeat_interleave(share, 0),
                   v = values.to(at::kDouble).repeat_interleave(share, 0);
  const at::Tensor scores =
      at::matmul(q, k.transpose(1, 2)).div(std::sqrt(static_cast<double>(q.size(2))));
  return at::matmul(at::softmax(scores.masked_fill(mask.logical_not(), -kInfinity), -1), v)
      .transpose(0, 1)
      .reshape({queries.size(0), -1});
}

TEST_CASE("one token's projection is the matrix product at any shape", "[model]") {
  const auto dtype = GENERATE(at::kFloat, at::kBFloat16);
  at::manual_seed(1);
  for (const std::int64_t in : {1, 15, 16, 17, 576, 1536}) {
    for (const std::int64_t out : {1, 3, 4, 5, 192, 3000}) {
      INFO(in << " -> " << out);
      const at::Tensor weight = at::randn({out, in}).to(dtype), bias = at::randn({out}).to(dtype),
                       x = at::randn({1, in}).to(dtype);
      const at::Tensor expected = at::matmul(x.to(at::kDouble), weight.to(at::kDouble).t());
      CHECK(off(Linear{weight, {}}(x), expected) < rounding(dtype));
      CHECK(off(Linear{weight, bias}(x), expected + bias.to(at::kDouble)) < 2 * rounding(dtype));
      // A part of a fused tensor, and columns of a wider one.
      const at::Tensor wide = at::randn({out + 2, in + 3}).to(dtype);
      const at::Tensor part = wide.narrow(0, 1, out).narrow(1, 2, in);
      CHECK(off(Linear{part, {}}(x), at::matmul(x.to(at::kDouble), part.to(at::kDouble).t())) <
            rounding(dtype));
    }
  }
}

TEST_CASE("RMSNorm and SwiGLU are their formulas at any size", "[model]") {
  const auto dtype = GENERATE(at::kFloat, at::kBFloat16);
  at::manual_seed(2);
  for (const std::int64_t size : {1, 8, 16, 31, 577}) {
    for (const std::int64_t rows : {1, 3, 200}) {
      INFO(rows << " x " << size);
      const at::Tensor x = at::randn({rows, size}).mul_(3).to(dtype),
                       weight = at::randn({size}).to(dtype);
      const at::Tensor wide = x.to(at::kDouble);
      const at::Tensor normed = wide / (wide.square().mean(-1, true) + 1e-5).sqrt();
      CHECK(off(RmsNorm{weight, 1e-5}(x), normed * weight.to(at::kDouble)) < 2 * rounding(dtype));
      const at::Tensor gate = at::randn({rows, size}).mul_(40), up = at::randn({rows, size});
      const at::Tensor g = gate.to(dtype), u = up.to(dtype);
      const at::Tensor expected =
          g.to(at::kDouble) / (1 + (-g.to(at::kDouble)).exp()) * u.to(at::kDouble);
      cpu::call_for(dtype, [&]<class T>() { cpu::swiglu<T>(g, u); });
      CHECK(off(g, expected) < rounding(dtype));
    }
  }
}

TEST_CASE("kernels pass NaN on", "[model]") {
  const auto dtype = GENERATE(at::kFloat, at::kBFloat16);
  for (const std::int64_t place : {0, 5, 17, 39}) {
    at::Tensor x = at::ones({1, 40}).to(dtype);
    x[0][place] = NAN;
    const at::Tensor weight = at::ones({3, 40}).to(dtype);
    CHECK(Linear{weight, {}}(x).isnan().all().item<bool>());
    CHECK(RmsNorm{at::ones({40}).to(dtype), 1e-5}(x).isnan().all().item<bool>());
    const at::Tensor gate = x.clone(), up = at::ones({1, 40}).to(dtype);
    cpu::call_for(dtype, [&]<class T>() { cpu::swiglu<T>(gate, up); });
    CHECK(at::equal(gate.isnan(), x.isnan()));
    const at::Tensor keys = at::ones({1, 300, 32}).to(dtype), queries = at::ones({1, 32}).to(dtype);
    for (const bool in_keys : {true, false}) {
      at::Tensor k = keys.clone(), v = keys.clone();
      (in_keys ? k : v)[0][7 * place][3] = NAN;
      at::Tensor out = at::empty({32}, k.options());
      cpu::call_for(dtype, [&]<class T>() { cpu::attend_one<T>(queries, in_parts(k, v), out); });
      CHECK(out.isnan().any().item<bool>());
      if (!cpu::attends_many(queries.unsqueeze(0), in_parts(k, v))) continue;
      for (const bool tiles : {true, false}) {
        const std::vector<cpu::RowRange> all{{0, 300}};
        out.zero_();
        cpu::attend_many(queries.unsqueeze(0), in_parts(k, v), all, out.unsqueeze(0), tiles);
        CHECK(out.isnan().any().item<bool>());
      }
    }
  }
}

TEST_CASE("rows of infinitely low scores weigh nothing, and alone they give NaN", "[model]") {
  const auto dtype = GENERATE(at::kFloat, at::kBFloat16);
  at::manual_seed(9);
  const at::Tensor q = at::ones({1, 32}).to(dtype), v = at::randn({1, 600, 32}).to(dtype);
  for (const auto& [first, count] : {std::pair{0, 256}, std::pair{0, 300}, std::pair{250, 350},
                                     std::pair{5, 1}, std::pair{0, 600}}) {
    INFO(count << " rows from " << first);
    const at::Tensor k = at::ones({1, 600, 32}).to(dtype);
    k.narrow(1, first, count).select(2, 3).fill_(-INFINITY);
    at::Tensor kept = at::ones({600}, at::kBool);
    kept.narrow(0, first, count).fill_(false);
    const at::Tensor expected = v[0].to(at::kDouble).index({kept}).mean(0);  // NaN of no rows
    at::Tensor out = at::empty({32}, q.options());
    const auto check = [&] {
      if (count == 600)
        CHECK(out.isnan().all().item<bool>());
      else
        CHECK(off(out, expected) < 2 * rounding(dtype));
    };
    cpu::call_for(dtype, [&]<class T>() { cpu::attend_one<T>(q, in_parts(k, v), out); });
    check();
    if (!cpu::attends_many(q.unsqueeze(0), in_parts(k, v))) continue;
    for (const bool tiles : {true, false}) {
      const std::vector<cpu::RowRange> all{{0, 600}};
      out.zero_();
      cpu::attend_many(q.unsqueeze(0), in_parts(k, v), all, out.unsqueeze(0), tiles);
      check();
    }
  }
}

TEST_CASE("one token's attention is the formula over every row", "[model]") {
  const auto dtype = GENERATE(at::kFloat, at::kBFloat16);
  at::manual_seed(3);
  struct Shape {
    std::int64_t heads, groups, rows, size;
  };
  for (const auto& [heads, groups, rows, size] :
       {Shape{9, 3, 1, 64}, Shape{9, 3, 256, 64}, Shape{9, 3, 257, 64}, Shape{6, 2, 5, 16},
        Shape{12, 2, 513, 80}, Shape{5, 1, 255, 128}, Shape{8, 8, 700, 96}, Shape{4, 1, 20, 256}}) {
    INFO(heads << "/" << groups << " heads of " << size << ", " << rows << " rows");
    const at::Tensor q = at::randn({heads, size}).mul_(3).to(dtype);
    const at::Tensor k = at::randn({groups, rows + 9, size}).to(dtype).narrow(1, 0, rows),
                     v = at::randn({groups, rows + 9, size}).to(dtype).narrow(1, 0, rows);
    const at::Tensor expected =
        naive_attention(q.unsqueeze(0), k, v, at::ones({1, rows}, at::kBool));
    std::vector<std::vector<CacheRows>> caches{in_parts(k, v)};
    if (rows > 3) caches.push_back(in_parts(k, v, {1, rows / 3, rows - 1}));
    const auto check = [&](const std::vector<CacheRows>& parts, const at::Tensor& right) {
      REQUIRE(cpu::attends_one(q, parts));
      const at::Tensor kept = q.clone(), out = at::empty({heads * size}, q.options());
      cpu::call_for(dtype, [&]<class T>() { cpu::attend_one<T>(q, parts, out); });
      CHECK(off(out.unsqueeze(0), right) < rounding(dtype));
      CHECK(at::equal(q, kept));
    };
    for (std::vector<CacheRows>& parts : caches) {
      check(parts, expected);
      // In int8 it is the formula of what int8 stands for; the last part as it is, as in a cache.
      for (std::size_t i = 0; i + 1 < std::max<std::size_t>(parts.size(), 2); ++i)
        parts[i] = parts[i].to_int8();
      check(parts,
            naive_attention(q.unsqueeze(0), detail::joined(parts, &CacheRows::keys, at::kFloat),
                            detail::joined(parts, &CacheRows::values, at::kFloat),
                            at::ones({1, rows}, at::kBool)));
    }
  }
}

TEST_CASE("attention over ranges of rows is the formula under the mask they mean", "[model]") {
  at::manual_seed(4);
  const at::Tensor one = at::ones({1, 1, 16}, at::kBFloat16);
  if (!cpu::attends_many(one, in_parts(one, one))) {
    WARN("this machine has no AVX-512 BF16: the kernel is not run here");
    return;
  }
  struct Shape {
    std::int64_t heads, groups, rows, size, tokens;
  };
  for (const auto& [heads, groups, rows, size, tokens] :
       {Shape{9, 3, 700, 64, 700}, Shape{9, 3, 700, 64, 130}, Shape{6, 2, 5, 16, 3},
        Shape{12, 2, 513, 80, 70}, Shape{5, 1, 256, 128, 256}, Shape{8, 8, 257, 96, 1},
        Shape{7, 7, 129, 48, 65}}) {
    for (const int kind : {0, 1, 2}) {  // a chunk after its past; kept tokens; a sliding window
      INFO(heads << "/" << groups << " heads of " << size << ", " << tokens << " tokens over "
                 << rows << " rows, kind " << kind);
      const at::Tensor q = at::randn({tokens, heads, size}).mul_(2).to(at::kBFloat16);
      const auto cached = [&] {
        return at::randn({groups, rows + 9, size}).to(at::kBFloat16).narrow(1, 0, rows);
      };
      const at::Tensor k = cached(), v = cached();
      at::Tensor mask = at::zeros({tokens, rows}, at::kBool);
      std::vector<cpu::RowRange> ranges;
      for (std::int64_t i = 0; i < tokens; ++i) {
        const std::int64_t end =
            kind == 1 ? std::max<std::int64_t>(1, (i + 1) * rows / tokens) : rows - tokens + 1 + i;
        const std::int64_t begin = kind == 2 ? std::max<std::int64_t>(0, end - 100) : 0;
        ranges.push_back({begin, end});
        mask[i].narrow(0, begin, end - begin).fill_(true);
      }
      const at::Tensor expected = naive_attention(q, k, v, mask);
      std::vector<std::vector<CacheRows>> caches{in_parts(k, v)};
      if (rows > 3) caches.push_back(in_parts(k, v, {1, rows / 3, rows - 1}));
      const auto check = [&](const std::vector<CacheRows>& parts, const at::Tensor& right) {
        REQUIRE(cpu::attends_many(q, parts));
        for (const bool tiles : {true, false}) {
          const at::Tensor out = at::empty({tokens, heads * size}, q.options());
          cpu::attend_many(q, parts, ranges, out, tiles);
          CHECK(off(out, right) < 6e-3);
        }
      };
      for (std::vector<CacheRows>& parts : caches) {
        check(parts, expected);
        parts[0] = parts[0].to_int8();
        check(parts,
              naive_attention(q, detail::joined(parts, &CacheRows::keys, at::kBFloat16),
                              detail::joined(parts, &CacheRows::values, at::kBFloat16), mask));
      }
    }
  }
}

#ifdef PROMPTDISTILL_AMX
TEST_CASE("tiles are the thread's own only while a session lives", "[model]") {
  if (!cpu::has_amx()) {
    WARN("this machine has no AMX: its products are not run here");
    return;
  }
  at::manual_seed(7);
  const auto own = [](const at::Tensor& rows, const at::Tensor& packed) {
    at::Tensor sums = at::ones({16, 64});
    cpu::detail::multiply_tiles<4, true>(rows.const_data_ptr(), 64,
                                         packed.const_data_ptr<std::int32_t>(), 256, 1,
                                         sums.mutable_data_ptr<float>(), 256);
    return sums;
  };
  const at::Tensor rows = at::randn({16, 32}).to(at::kBFloat16),
                   vectors = at::randn({64, 32}).to(at::kBFloat16),  // [N, K]
      packed = vectors.view(at::kInt).t().contiguous();              // [K / 2, N] of pairs
  const at::Tensor expected = rows.to(at::kDouble).matmul(vectors.to(at::kDouble).t()).add(1);
  const at::Tensor x = at::randn({70, 96}).to(at::kBFloat16),
                   w = at::randn({200, 96}).to(at::kBFloat16), product = at::linear(x, w);
  {
    const cpu::detail::TileSession outer;
    CHECK(off(own(rows, packed), expected) < 1e-5);
    {
      const cpu::detail::TileSession inner;
      CHECK(off(own(rows, packed), expected) < 1e-5);
    }
    CHECK(off(own(rows, packed), expected) < 1e-5);  // configured as before
  }
  CHECK(at::equal(at::linear(x, w), product));  // the matrix library's own tiles
}
#endif

TEST_CASE("a chunk merged with its past is the causal triangle's last rows", "[model]") {
  at::manual_seed(5);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor q = at::randn({6, 40, 16}).to(dtype), k = at::randn({2, 100, 16}).to(dtype),
                     v = at::randn({2, 100, 16}).to(dtype);
    const at::Tensor mask =
        at::arange(100).unsqueeze(0).le(at::arange(60, 100).unsqueeze(1));  // [40, 100]
    for (const std::vector<CacheRows>& parts :
         {in_parts(k, v), in_parts(k, v, {30, 31}), in_parts(k, v, {7, 60})}) {
      const auto merged = detail::attend_merged(q, detail::with_last_split(parts, 40), true);
      REQUIRE(merged.has_value());  // with the LibTorch that the tests are built with
      CHECK(off(merged->transpose(0, 1).reshape({40, 96}),
                naive_attention(q.transpose(0, 1), k, v, mask)) < 3 * rounding(dtype));
    }
  }
}

TEST_CASE("kernels give the same whatever the number of threads", "[model]") {
  at::manual_seed(6);
  const int threads = at::get_num_threads();
  const at::Tensor q = at::randn({500, 9, 64}).to(at::kBFloat16),
                   k = at::randn({3, 500, 64}).to(at::kBFloat16),
                   weight = at::randn({3000, 576}).to(at::kBFloat16),
                   x = at::randn({1, 576}).to(at::kBFloat16);
  LayerCache cache;
  cache.append(k.transpose(0, 1), k.transpose(0, 1), at::arange(500), 0);
  std::vector<at::Tensor> many, one, projected;
  for (const int count : {1, 2, 4}) {
    at::set_num_threads(count);
    many.push_back(attend(q.transpose(0, 1), at::arange(500), cache, {}, QueryRows::kNewest));
    one.push_back(attend(q.narrow(0, 499, 1).transpose(0, 1), at::arange(499, 500), cache, {},
                         QueryRows::kNewest));
    projected.push_back(Linear{weight, {}}(x));
  }
  at::set_num_threads(threads);
  for (std::size_t i = 1; i < 3; ++i) {
    CHECK(at::equal(many[0], many[i]));
    CHECK(at::equal(one[0], one[i]));
    CHECK(at::equal(projected[0], projected[i]));
  }
}

}  // namespace
}  // namespace promptdistill
