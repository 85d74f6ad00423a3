// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// KvCache: rows and layers kept apart, true next positions, truncation by a retention.

#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/core/test_support.hpp"

namespace promptdistill::test {
namespace {

void append(LayerCache& cache, const Ids& positions, std::int64_t room = 0) {
  const at::Tensor keys = longs(positions).to(at::kFloat).view({-1, 1, 1}).expand({-1, 2, 3});
  cache.append(keys, -keys, longs(positions), room);
}

Ids range(std::int64_t first, std::int64_t end) { return to_ids(at::arange(first, end)); }

void check_holds(const LayerCache& cache, const Ids& positions) {
  CHECK(to_ids(cache.positions()) == positions);
  CHECK(at::equal(cache.keys()[1].select(1, 2), longs(positions).to(at::kFloat)));
  CHECK(at::equal(cache.values()[0].select(1, 0), -longs(positions).to(at::kFloat)));
}

static_assert(!std::is_copy_constructible_v<KvCache> && std::is_move_constructible_v<KvCache>);

TEST_CASE("a cache counts its layers, rows and allocated bytes", "[core]") {
  KvCache cache(3, 2, 5);
  CHECK(cache.layers() == 3);
  CHECK(cache.batch() == 2);
  CHECK(cache.room() == 5);
  CHECK(cache.bytes() == 0);
  append(cache.at(0, 1), range(0, 4), cache.room());
  append(cache.at(1, 2), range(0, 2), cache.room());
  CHECK(cache.rows(0) == Ids{0, 4, 0});
  CHECK(cache.rows(1) == Ids{0, 0, 2});
  const std::size_t row = 2 * 2 * 3 * sizeof(float) + sizeof(std::int64_t);
  CHECK(cache.bytes() == (4 + 5 + 2 + 5) * row);
  cache.at(1, 2).keep(longs({}), 5);  // room without rows is allocated all the same
  CHECK(cache.bytes() == (4 + 5 + 5) * row);
}

TEST_CASE("the next position is what was run, whatever rows are left", "[core]") {
  KvCache cache(1, 2);
  append(cache.at(0, 0), range(0, 9));
  append(cache.at(1, 0), range(0, 4));
  cache.advance(0, 9);
  cache.advance(1, 4);
  cache.keep(0, Retention(longs({2, 8, 3}), {0, 2, 3}, {9, 4}),
             at::cat({longs(range(0, 9)), longs(range(0, 4))}));
  CHECK(cache.rows(0) == Ids{2});
  CHECK(cache.next_position(0) == 9);
  CHECK(cache.next_position(1) == 4);
  cache.at(0, 0).keep(longs({1}), 0);
  CHECK(cache.next_position(0) == 9);
  append(cache.at(0, 0), {9});
  cache.advance(0, 1);
  CHECK(cache.next_position(0) == 10);
  CHECK(cache.next_position(1) == 4);
}

TEST_CASE("a cache cut twice is cut once by the composed retention", "[core]") {
  Random random(41);
  for (int i = 0; i < 100; ++i) {
    const Ids lengths = random.lengths(random.between(1, 4), 20);
    const auto batch = static_cast<std::int64_t>(lengths.size());
    Ids firsts;
    for (std::int64_t b = 0; b < batch; ++b) firsts.push_back(random.between(0, 9));
    const TokenFrame frame = TokenFrame::from_prompt(at::Tensor(), lengths, firsts);
    KvCache twice(2, batch, 1);
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::int64_t l = 0; l < 2; ++l)
        append(twice.at(b, l), to_ids(frame.row(frame.positions(), b)), 1);
    }
    KvCache once = twice.fork();
    const Retention first = random.retention(lengths);
    const Retention second = random.retention(kept_lengths(first));
    twice.keep(0, first, frame.positions());
    twice.keep(0, second, frame.keep(first).positions());
    once.keep(0, first.compose(second), frame.positions());
    const TokenFrame left = frame.keep(first).keep(second);
    for (std::int64_t b = 0; b < batch; ++b) {
      check_holds(twice.at(b, 0), to_ids(left.row(left.positions(), b)));
      check_holds(once.at(b, 0), to_ids(left.row(left.positions(), b)));
      check_holds(once.at(b, 1), to_ids(frame.row(frame.positions(), b)));
    }
  }
}

TEST_CASE("a cut keeps rows of an earlier turn and does not bring back evicted ones", "[core]") {
  Random random(42);
  for (int i = 0; i < 200; ++i) {
    const std::int64_t earlier = random.between(0, 8), live = random.between(1, 12);
    const Ids positions = range(earlier, earlier + live);
    KvCache cache(1);
    append(cache.at(0, 0), range(0, earlier + live));
    const Ids held = random.subset(earlier + live, random.between(1, earlier + live));
    cache.at(0, 0).keep(longs(held), 0);  // what a cache policy left
    const Retention kept = random.retention({live});
    const Ids chosen = to_ids(kept.row(0));
    Ids expected;
    for (const std::int64_t position : held) {
      const bool was_kept =
          std::find(chosen.begin(), chosen.end(), position - earlier) != chosen.end();
      if (position < earlier || was_kept) expected.push_back(position);
    }
    cache.keep(0, kept, longs(positions));
    check_holds(cache.at(0, 0), expected);
  }
}

TEST_CASE("as many cached rows as live tokens need not be the same tokens", "[core]") {
  KvCache cache(1);
  append(cache.at(0, 0), {0, 1, 4});  // two of an earlier turn, one of the three live ones
  cache.keep(0, Retention::of_row(longs({0, 2}), 3), longs({2, 3, 4}));
  check_holds(cache.at(0, 0), {0, 1, 4});
}

TEST_CASE("forks of a cache share nothing", "[core]") {
  KvCache cache(2, 2, 3);
  append(cache.at(1, 0), {0, 1}, 3);
  cache.advance(1, 2);
  KvCache fork = cache.fork();
  CHECK(fork.bytes() == cache.bytes());
  CHECK(fork.room() == 3);
  append(cache.at(1, 0), {2});
  append(fork.at(1, 0), {5});
  fork.advance(1, 4);
  check_holds(cache.at(1, 0), {0, 1, 2});
  check_holds(fork.at(1, 0), {0, 1, 5});
  CHECK(cache.next_position(1) == 2);
  CHECK(fork.next_position(1) == 6);
  const KvCache moved = std::move(fork);
  check_holds(moved.at(1, 0), {0, 1, 5});
}

TEST_CASE("caches are joined to a batch and leave it row by row", "[core]") {
  std::vector<KvCache> parts;
  for (std::int64_t p = 0; p < 4; ++p) {
    parts.emplace_back(2, p == 1 ? 2 : 1, 3);  // five rows
    for (std::int64_t b = 0; b < parts.back().batch(); ++b) {
      append(parts.back().at(b, 0), range(p, 2 * p + b + 1), 3);
      append(parts.back().at(b, 1), {10 * p + b}, 3);
      parts.back().advance(b, 100 + 10 * p + b);
      parts.back().set_request_length(b, 200 + 10 * p + b);
    }
  }
  const void* const storage = parts[3].at(0, 0).key_storage().const_data_ptr();
  KvCache cache = KvCache::join(std::move(parts));
  REQUIRE(cache.batch() == 5);
  CHECK(cache.layers() == 2);
  CHECK(cache.room() == 3);
  check_holds(cache.at(2, 0), range(1, 4));
  check_holds(cache.at(2, 1), {11});
  CHECK(cache.at(4, 0).key_storage().const_data_ptr() == storage);
  for (const auto& refused : {Ids{}, Ids{0, 5}, Ids{-1, 2}, Ids{1, 1}, Ids{2, 0}}) {
    check_value_error([&] { cache.keep_rows(refused); }, {"ascending rows of the batch's 5"});
    CHECK(cache.batch() == 5);
  }
  const std::size_t whole = cache.bytes();
  cache.keep_rows({0, 2, 4});
  CHECK(cache.bytes() < whole);
  cache.keep_rows({1, 2});
  REQUIRE(cache.batch() == 2);
  check_holds(cache.at(0, 0), range(1, 4));
  check_holds(cache.at(0, 1), {11});
  check_holds(cache.at(1, 0), range(3, 7));
  CHECK(cache.at(1, 0).key_storage().const_data_ptr() == storage);
  CHECK(cache.next_position(0) == 111);
  CHECK(cache.next_position(1) == 130);
  CHECK(cache.request_length(0) == 211);
  CHECK(cache.request_length(1) == 230);
  check_index_error([&] { cache.at(2, 0); }, {"rows 0 to 1"});

  check_value_error([] { KvCache::join({}); }, {"at least one cache"});
  const auto joined = [](KvCache other) {
    std::vector<KvCache> two;
    two.emplace_back(2, 1, 3);
    two.push_back(std::move(other));
    KvCache::join(std::move(two));
  };
  check_value_error([&] { joined(KvCache(3, 1, 3)); }, {"the same layers and room, got 3 and 3"});
  check_value_error([&] { joined(KvCache(2, 1, 4)); }, {"got 2 and 4 beside 2 and 3"});
}

TEST_CASE("a cache has at least one layer and row", "[core]") {
  const std::string words = "at least one layer and one row and a room that is not negative";
  check_value_error([] { KvCache(0); }, {words, "got 0, 1 and 0"});
  check_value_error([] { KvCache(-1); }, {words, "got -1, 1 and 0"});
  check_value_error([] { KvCache(2, 0); }, {words});
  check_value_error([] { KvCache(2, -3); }, {words, "got 2, -3"});
  check_value_error([] { KvCache(-1, -1); }, {words});
  check_value_error([] { KvCache(1, 1, -1); }, {words, "and -1"});
}

TEST_CASE("a row or layer that does not exist is an error", "[core]") {
  KvCache cache(3, 2);
  const std::string words = "the cache has rows 0 to 1 and layers 0 to 2";
  check_index_error([&] { cache.at(2, 0); }, {words, "got row 2 and layer 0"});
  check_index_error([&] { cache.at(-1, 0); }, {words});
  check_index_error([&] { std::as_const(cache).at(0, 3); }, {words, "layer 3"});
  check_index_error([&] { cache.at(0, -1); }, {words});
  check_index_error([&] { cache.rows(2); }, {words});
}

TEST_CASE("a refused cut leaves every row as it was", "[core]") {
  KvCache cache(2, 2);
  for (std::int64_t b = 0; b < 2; ++b) append(cache.at(b, 0), range(0, 4));
  const Retention kept(longs({1, 3, 3}), {0, 2, 3}, {4, 4});
  const at::Tensor positions = longs({0, 1, 2, 3, 0, 1, 2, 3});
  const std::string words = "a cache of 2 rows is cut by a retention of as many";
  const auto refused = [&](const auto& call, const std::string& expected) {
    check_value_error(call, {expected});
    CHECK(cache.rows(0) == Ids{4, 0});
    CHECK(cache.rows(1)[0] == 4);
  };
  refused([&] { cache.keep(0, Retention::of_row(longs({1}), 4), positions.slice(0, 0, 4)); },
          words);
  refused([&] { cache.keep(0, kept, positions.slice(0, 1)); }, words);
  refused([&] { cache.keep(0, kept, positions.view({2, 4})); }, words);
  refused([&] { cache.keep(0, kept, positions.to(at::kInt)); }, words);
  refused([&] { cache.keep(0, kept, at::Tensor()); }, words);
  refused([&] { cache.keep(1, kept, positions); }, "a cache that is empty");
  check_index_error([&] { cache.keep(2, kept, positions); }, {"layer 2"});
  // The second row cannot be cut: the first must not be either.
  cache.at(1, 0).keep(longs({0, 1, 2, 3, 0, 1, 2, 3}).view({2, 4}), 0);
  refused([&] { cache.keep(0, kept, positions); }, "has rows chosen per head");
}

}  // namespace
}  // namespace promptdistill::test
