// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Retention: what it accepts, how two compose, and what a gather of a padded tensor takes.

#include "tests/core/test_support.hpp"

namespace promptdistill::test {
namespace {

TEST_CASE("a retention tells what it was made of", "[core]") {
  const Retention retention(longs({0, 2, 1, 2, 3}), {0, 2, 5}, {3, 6});
  CHECK(retention.batch() == 2);
  CHECK(retention.kept(0) == 2);
  CHECK(retention.kept(1) == 3);
  CHECK(to_ids(retention.row(0)) == Ids{0, 2});
  CHECK(to_ids(retention.row(1)) == Ids{1, 2, 3});
  CHECK(to_ids(retention.packed_indices()) == Ids{0, 2, 4, 5, 6});
  CHECK(retention.row(1).const_data_ptr() == retention.indices()[2].const_data_ptr());
  CHECK_FALSE(retention.keeps_all());
  CHECK(Retention(longs({0, 1, 0}), {0, 2, 3}, {2, 1}).keeps_all());
  CHECK(Retention::of_row(longs({0}), 1).keeps_all());
  CHECK(to_ids(Retention::of_row(at::arange(20, at::kLong).slice(0, 1, 20, 5), 20).indices()) ==
        Ids{1, 6, 11, 16});
}

TEST_CASE("composed retentions do the work of both", "[core]") {
  Random random(11);
  for (int i = 0; i < 300; ++i) {
    const Ids lengths = random.lengths(random.between(1, 5), 30);
    const Retention first = random.retention(lengths);
    const Retention second = random.retention(kept_lengths(first));
    const Retention both = first.compose(second);
    CHECK(both.source_lengths() == lengths);
    CHECK(kept_lengths(both) == kept_lengths(second));
    const at::Tensor packed = at::arange(first.packed_indices().max().item<std::int64_t>() + 1);
    CHECK(at::equal(
        packed.index_select(0, first.packed_indices()).index_select(0, second.packed_indices()),
        packed.index_select(0, both.packed_indices())));
  }
}

TEST_CASE("composing is associative and keeping all changes nothing", "[core]") {
  Random random(12);
  for (int i = 0; i < 100; ++i) {
    const Ids lengths = random.lengths(random.between(1, 4), 20);
    const Retention a = random.retention(lengths), b = random.retention(kept_lengths(a)),
                    c = random.retention(kept_lengths(b));
    CHECK(at::equal(a.compose(b).compose(c).indices(), a.compose(b.compose(c)).indices()));
    std::vector<at::Tensor> every;
    Ids offsets{0};
    for (const std::int64_t length : lengths) {
      every.push_back(at::arange(length, at::kLong));
      offsets.push_back(offsets.back() + length);
    }
    const Retention all(at::cat(every), offsets, lengths);
    CHECK(all.keeps_all());
    CHECK(at::equal(all.compose(a).indices(), a.indices()));
  }
}

TEST_CASE("a padded tensor gathered twice is gathered once by the composed retention", "[core]") {
  Random random(13);
  for (int i = 0; i < 100; ++i) {
    const std::int64_t batch = random.between(1, 4), tokens = random.between(1, 20);
    const std::int64_t kept = random.between(1, tokens), left = random.between(1, kept);
    const Retention first = random.retention(Ids(static_cast<std::size_t>(batch), tokens), kept);
    const Retention second = random.retention(Ids(static_cast<std::size_t>(batch), kept), left);
    const Retention both = first.compose(second);
    const at::Tensor hidden = random.normal({batch, tokens, 3});
    const at::Tensor cache = random.normal({batch, 2, 4, tokens}).transpose(2, 3);  // strided
    CHECK(at::equal(second.gather(first.gather(hidden, 1), 1), both.gather(hidden, 1)));
    CHECK(at::equal(second.gather(first.gather(cache, 2), 2), both.gather(cache, 2)));
    for (std::int64_t b = 0; b < batch; ++b) {
      const Ids row = to_ids(both.row(b));
      for (std::int64_t k = 0; k < left; ++k)
        CHECK(at::equal(both.gather(hidden, 1)[b][k], hidden[b][row[static_cast<std::size_t>(k)]]));
    }
  }
}

TEST_CASE("a retention refuses indices that are not ascending, distinct and in range", "[core]") {
  const auto one_row = [](const Ids& indices, std::int64_t length) {
    return [=] { Retention::of_row(longs(indices), length); };
  };
  check_index_error(one_row({0, 2, 1}, 3), {"ascending, distinct", "got 1 after 2 in row 0"});
  check_index_error(one_row({0, 1, 1}, 3), {"got 1 after 1 in row 0"});
  check_index_error(one_row({-1, 2}, 3), {"got -1", "row 0"});
  check_index_error(one_row({0, 3}, 3), {"in [0, 3)", "got 3 after 0"});
  check_index_error(one_row({0}, 0), {"in [0, 0)"});
  check_index_error([] { Retention(longs({0, 1, 5}), {0, 2, 3}, {2, 5}); }, {"got 5", "row 1"});
}

TEST_CASE("a retention refuses empty rows and offsets that do not fit", "[core]") {
  check_value_error([] { Retention::of_row(longs({}), 3); },
                    {"every row must keep at least one token, row 0 keeps 0"});
  check_value_error([] { Retention(longs({0}), {0, 1, 1}, {1, 1}); }, {"row 1 keeps 0"});
  check_value_error([] { Retention(longs({}), {0}, {}); }, {"offsets must hold batch + 1 numbers"});
  check_value_error([] { Retention(longs({0}), {0, 1}, {1, 1}); }, {"offsets must hold"});
  check_value_error([] { Retention(longs({0}), {0, 2}, {3}); }, {"to the 1 retained indices"});
  check_value_error([] { Retention(longs({0, 1}), {1, 2}, {3}); }, {"offsets must hold"});
  // Offsets that fall would read beyond the indices: here 99, which must not be looked at.
  const at::Tensor longer = longs({0, 1, 2, 99, 99});
  check_value_error(
      [&] {
        Retention(longer.narrow(0, 0, 3), {0, 5, 3}, {9, 9});
      },
      {"row 1 keeps -2"});
}

TEST_CASE("a retention refuses other shapes and dtypes", "[core]") {
  const std::string words = "must be a one-dimensional int64 tensor";
  check_value_error([] { Retention(at::tensor({0, 1}, at::kInt), {0, 2}, {3}); }, {words});
  check_value_error([] { Retention(at::zeros({1, 1}, at::kLong), {0, 1}, {1}); }, {words});
  check_value_error([] { Retention(at::Tensor(), {0, 1}, {1}); }, {words});
  check_value_error([] { Retention::of_row(at::zeros({2}, at::kBool), 2); }, {words});
  check_value_error([] { Retention::of_row(at::Tensor(), 2); }, {"one-dimensional"});
  check_value_error([] { Retention::of_row(at::scalar_tensor(3, at::kLong), 4); },
                    {"one-dimensional"});
}

TEST_CASE("composing and gathering refuse what does not fit", "[core]") {
  const Retention two = Retention::of_row(longs({0, 3}), 4);
  const Retention ragged(longs({0, 0, 1}), {0, 1, 3}, {2, 2});
  check_value_error([&] { two.compose(ragged); }, {"must have the same batch, got 1 and 2"});
  check_value_error([&] { two.compose(Retention::of_row(longs({0}), 3)); },
                    {"the 2 tokens that the first one keeps in row 0, got 3"});
  check_value_error(
      [&] {
        ragged.gather(at::zeros({2, 2, 1}), 1);
      },
      {"row 1 keeps 2 and row 0 1", "use TokenFrame"});
  check_value_error([&] { two.gather(at::zeros({2, 4}), 1); }, {"with B = 1", "got [2, 4]"});
  check_value_error([&] { two.gather(at::zeros({1, 4}), 0); }, {"token dimension in [1, 2)"});
  check_value_error([&] { two.gather(at::zeros({1, 4}), 2); }, {"dimension 2"});
  check_value_error([&] { two.gather(at::Tensor(), 1); }, {"a tensor to gather"});
  check_index_error([&] { two.gather(at::zeros({1, 5}), 1); }, {"must hold the 4 tokens", "got 5"});
  const Retention pair(longs({0, 1}), {0, 1, 2}, {2, 2});
  check_index_error([&] { pair.gather(at::zeros({2, 3}), 1); }, {"must hold the 2 tokens"});
}

}  // namespace
}  // namespace promptdistill::test
