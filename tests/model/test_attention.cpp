// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// attend() against a double-precision loop: every shortcut, gaps in positions, long blocks, rows
// chosen per head.

#include <ATen/CPUGeneratorImpl.h>

#include "promptdistill/model/attention.hpp"
#include "tests/catch.hpp"
#include "tests/io/tiny_lm.hpp"

namespace promptdistill::test {
namespace {

/// Row by row, key by key; with a window, of the last so many positions.
at::Tensor naive(const at::Tensor& queries,
                 const Ids& query_positions,
                 const LayerCache& cache,
                 std::int64_t window) {
  const at::Tensor q = queries.to(at::kCPU, at::kDouble).contiguous();
  const at::Tensor k = cache.keys().to(at::kCPU, at::kDouble).contiguous();
  const at::Tensor v = cache.values().to(at::kCPU, at::kDouble).contiguous();
  const std::int64_t heads = q.size(0), count = q.size(1), size = q.size(2), groups = k.size(0),
                     rows = k.size(1);
  const at::Tensor p = cache.positions().to(at::kCPU).expand({groups, rows}).contiguous();
  at::Tensor out = at::zeros({count, heads * size}, at::kDouble);
  const auto qa = q.accessor<double, 3>(), ka = k.accessor<double, 3>(),
             va = v.accessor<double, 3>();
  const auto pa = p.accessor<std::int64_t, 2>();
  auto oa = out.accessor<double, 2>();
  std::vector<double> weight(static_cast<std::size_t>(rows));
  for (std::int64_t h = 0; h < heads; ++h) {
    const std::int64_t g = h / (heads / groups);
    for (std::int64_t i = 0; i < count; ++i) {
      double sum = 0;
      for (std::int64_t j = 0; j < rows; ++j) {
        double dot = 0;
        for (std::int64_t d = 0; d < size; ++d) dot += qa[h][i][d] * ka[g][j][d];
        const std::int64_t own = query_positions[static_cast<std::size_t>(i)];
        const bool seen = pa[g][j] <= own && (window == 0 || pa[g][j] > own - window);
        auto& w = weight[static_cast<std::size_t>(j)];
        w = seen ? std::exp(dot / std::sqrt(static_cast<double>(size))) : 0;
        sum += w;
      }
      for (std::int64_t j = 0; j < rows; ++j) {
        const double w = weight[static_cast<std::size_t>(j)] / sum;
        for (std::int64_t d = 0; d < size; ++d) oa[i][h * size + d] += w * va[g][j][d];
      }
    }
  }
  return out;
}

struct Shape {
  std::int64_t heads, groups, size;
};

class Setup {
 public:
  explicit Setup(Shape shape, at::ScalarType dtype = at::kFloat)
      : shape_(shape),
        options_(at::TensorOptions(test_device()).dtype(dtype)),
        random_(at::make_generator<at::CPUGeneratorImpl>(7)) {}

  at::Tensor normal(at::IntArrayRef sizes) {
    return at::randn(sizes, random_, at::TensorOptions().dtype(at::kFloat)).to(options_);
  }
  void append(const Ids& positions) {
    const auto count = static_cast<std::int64_t>(positions.size());
    cache.append(normal({count, shape_.groups, shape_.size}),
                 normal({count, shape_.groups, shape_.size}), tensor_of(positions), 3);
  }
  /// The distance of attend() from the loop for queries at these positions, the largest over all
  /// that may truly be said of their rows.
  double error(const Ids& positions, std::int64_t window = 0) {
    const at::Tensor queries =
        normal({static_cast<std::int64_t>(positions.size()), shape_.heads, shape_.size})
            .transpose(0, 1);
    const at::Tensor expected = naive(queries, positions, cache, window);
    double largest = 0;
    for (const QueryRows standing :
         {QueryRows::kNewest, QueryRows::kLastIsNewest, QueryRows::kAny}) {
      if (!stands(tensor_of(positions), standing)) continue;
      const at::Tensor got = attend(queries, tensor_of(positions), cache,
                                    window > 0 ? std::optional(window) : std::nullopt, standing);
      if (got.scalar_type() != options_.dtype()) return INFINITY;
      largest = std::max(largest, apart(got, expected));
    }
    return largest;
  }

  LayerCache cache;

 private:
  bool stands(const at::Tensor& positions, QueryRows standing) const {
    const std::int64_t newest = standing == QueryRows::kNewest         ? positions.size(0)
                                : standing == QueryRows::kLastIsNewest ? 1
                                                                       : 0;
    const at::Tensor rows = cache.positions();
    if (newest > rows.size(-1)) return false;
    const at::Tensor own = positions.narrow(0, positions.size(0) - newest, newest),
                     last = rows.narrow(-1, rows.size(-1) - newest, newest);
    return own.expand_as(last).equal(last);
  }

  Shape shape_;
  at::TensorOptions options_;
  at::Generator random_;
};

/// Ascending positions with gaps.
Ids gaps(std::int64_t count, std::int64_t first = 0) {
  Ids out;
  for (std::int64_t i = 0; i < count; ++i) out.push_back(first + i + i / 3 * 5);
  return out;
}

Ids every(const Ids& positions, std::size_t step) {
  Ids out;
  for (std::size_t i = positions.size() % step; i < positions.size(); i += step)
    out.push_back(positions[i]);
  if (out.empty() || out.back() != positions.back()) out.push_back(positions.back());
  return out;
}

const Shape kShapes[] = {{4, 4, 16}, {6, 2, 8}, {5, 1, 6}, {1, 1, 2}};
constexpr double kBound = 5e-6;

TEST_CASE("one query sees the whole cache", "[model]") {
  for (const Shape shape : kShapes) {
    for (const std::int64_t rows : {1, 2, 17, 300}) {
      Setup setup(shape);
      setup.append(gaps(rows));
      CHECK(setup.error({gaps(rows).back()}) < kBound);
    }
  }
}

TEST_CASE("a window hides what lies before it, by position", "[model]") {
  for (const Shape shape : kShapes) {
    for (const std::int64_t rows : {2, 40, 300, 600}) {  // blocks of 256 queries
      for (const std::int64_t window : {1, 2, 9, 100, 700, 5000}) {
        INFO(rows << " rows, window " << window);
        Setup setup(shape);
        setup.append(gaps(rows, 3));
        CHECK(setup.error(gaps(rows, 3), window) < kBound);
        CHECK(setup.error({gaps(rows, 3).back()}, window) < kBound);
        setup.append(gaps(30, 3000));  // a next turn
        CHECK(setup.error(gaps(30, 3000), window) < kBound);
      }
    }
  }
}

TEST_CASE("queries of every row see a triangle, gaps or not", "[model]") {
  for (const Shape shape : kShapes) {
    for (const std::int64_t rows : {2, 3, 64, 300, 513}) {
      Setup setup(shape);
      setup.append(gaps(rows, 4));
      CHECK(setup.error(gaps(rows, 4)) < kBound);
    }
  }
}

TEST_CASE("some rows' queries see what lies before them, in any number of blocks", "[model]") {
  for (const Shape shape : kShapes) {
    for (const std::int64_t rows : {3, 40, 700, 1100}) {
      for (const std::size_t step : {2, 3, 7}) {
        Setup setup(shape);
        const Ids positions = gaps(rows);
        setup.append(positions);
        INFO(rows << " rows, every " << step << " th");
        CHECK(setup.error(every(positions, step)) < kBound);
      }
    }
  }
}

TEST_CASE("block edges: 255 to 257 queries and their double", "[model]") {
  for (const std::int64_t count : {255, 256, 257, 511, 512, 513}) {
    Setup setup({2, 1, 4});
    setup.append(gaps(40));
    const Ids queries = gaps(count, 1000);
    setup.append(queries);
    INFO(count);
    CHECK(setup.error(queries) < kBound);
  }
}

TEST_CASE("tokens appended over reduced rows see those and their predecessors", "[model]") {
  for (const Shape shape : kShapes) {
    Setup setup(shape);
    setup.append(gaps(50));
    setup.cache.keep(tensor_of({0, 1, 30, 49}), 2);
    const Ids turn = gaps(9, 500);
    setup.append(turn);
    CHECK(setup.error(turn) < kBound);
    CHECK(setup.error({turn.back()}) < kBound);
  }
}

TEST_CASE("rows chosen per head are seen by that head alone", "[model]") {
  for (const Shape shape : kShapes) {
    Setup setup(shape);
    setup.append(range(0, 60));
    std::vector<at::Tensor> rows;
    for (std::int64_t g = 0; g < shape.groups; ++g) {
      Ids own = range(g, g + 5);
      own.push_back(20 + 12 * g);
      own.push_back(59);
      rows.push_back(tensor_of(own));
    }
    setup.cache.keep(at::stack(rows), 4);
    REQUIRE(setup.cache.per_head());
    CHECK(setup.error({59}) < kBound);
    // Kept tokens further back, as where a policy evicts rows before a later stage's queries run.
    CHECK(setup.error({25, 45, 59}) < kBound);
    CHECK(setup.error({59}, 30) < kBound);
    setup.append({60, 61, 64});
    CHECK(setup.error({60, 61, 64}) < kBound);
    CHECK(setup.error({60, 61, 64}, 8) < kBound);
    setup.append(range(70, 370));
    CHECK(setup.error(range(70, 370)) < kBound);
    CHECK(setup.error({369}) < kBound);
  }
}

TEST_CASE("as many queries as rows, where the rows were chosen per head", "[model]") {
  Setup setup({4, 2, 8});
  setup.append({3, 8, 9});
  setup.cache.keep(at::stack({tensor_of({0, 1, 2}), tensor_of({0, 1, 2})}), 4);
  REQUIRE(setup.cache.per_head());
  CHECK(setup.error({3, 8, 9}) < kBound);
}

TEST_CASE("half precision follows the loop to its own rounding", "[model]") {
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf}) {
    const double bound = dtype == at::kHalf ? 4e-3 : 3e-2;
    Setup setup({6, 2, 16}, dtype);
    setup.append(gaps(300));
    CHECK(setup.error(gaps(300)) < bound);
    CHECK(setup.error(every(gaps(300), 3)) < bound);
    CHECK(setup.error({gaps(300).back()}) < bound);
  }
}

}  // namespace
}  // namespace promptdistill::test
