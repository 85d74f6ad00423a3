// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// LayerCache: appending, keeping, growing and forking, against a plain list of rows per head.

#include <limits>
#include <type_traits>

#include "tests/core/test_support.hpp"

namespace promptdistill::test {
namespace {

constexpr std::int64_t kGroups = 3, kSize = 2;
constexpr std::size_t kRowBytes = 2 * kGroups * kSize * sizeof(float) + sizeof(std::int64_t);

/// Keys that name their position and head; values are their negatives.
at::Tensor keys_at(const Ids& positions) {  // [T, G, D]
  return (longs(positions).view({-1, 1, 1}) * 100 + at::arange(kGroups).view({1, -1, 1}) * 10 +
          at::arange(kSize))
      .to(at::kFloat);
}

void append(LayerCache& cache, const Ids& positions, std::int64_t room = 0) {
  cache.append(keys_at(positions), -keys_at(positions), longs(positions), room);
}

LayerCache filled(const Ids& positions, std::int64_t room = 0) {
  LayerCache cache;
  append(cache, positions, room);
  return cache;
}

Ids range(std::int64_t first, std::int64_t end) { return to_ids(at::arange(first, end)); }

/// Checks that head g holds the rows of `positions[g]`.
void check_heads_hold(const LayerCache& cache, const std::vector<Ids>& positions) {
  REQUIRE(cache.rows() == static_cast<std::int64_t>(positions[0].size()));
  for (std::int64_t g = 0; g < kGroups; ++g) {
    const Ids& own = positions[static_cast<std::size_t>(g)];
    const at::Tensor expected = keys_at(own).select(1, g);
    CHECK(at::equal(cache.keys()[g], expected));
    CHECK(at::equal(cache.values()[g], -expected));
    CHECK(to_ids(cache.per_head() ? cache.positions()[g] : cache.positions()) == own);
  }
}

void check_holds(const LayerCache& cache, const Ids& positions) {
  check_heads_hold(cache, std::vector<Ids>(kGroups, positions));
}

static_assert(!std::is_copy_constructible_v<LayerCache>, "copies would write to one storage");
static_assert(std::is_nothrow_move_constructible_v<LayerCache>);

TEST_CASE("an empty cache has no rows and no bytes", "[core]") {
  const LayerCache cache;
  CHECK(cache.rows() == 0);
  CHECK(cache.bytes() == 0);
  CHECK_FALSE(cache.per_head());
  CHECK(cache.fork().rows() == 0);
}

TEST_CASE("the first allocation fits the rows and their room exactly", "[core]") {
  CHECK(filled(range(0, 7)).bytes() == 7 * kRowBytes);
  CHECK(filled(range(0, 7), 5).bytes() == 12 * kRowBytes);
}

TEST_CASE("appending within the room allocates nothing", "[core]") {
  LayerCache cache = filled(range(0, 4), 3);
  const at::Tensor before = cache.keys();
  for (std::int64_t next = 4; next < 7; ++next) append(cache, {next}, 3);
  CHECK(cache.keys().const_data_ptr() == before.const_data_ptr());
  CHECK(cache.bytes() == 7 * kRowBytes);
  append(cache, {7}, 3);
  CHECK(cache.keys().const_data_ptr() != before.const_data_ptr());
  CHECK(cache.bytes() == (8 + 3) * kRowBytes);
  check_holds(cache, range(0, 8));
  CHECK(at::equal(before, keys_at(range(0, 4)).transpose(0, 1)));  // a view taken earlier stands
}

TEST_CASE("a long answer grows the storage seldom", "[core]") {
  LayerCache cache = filled(range(0, 100));
  std::int64_t moves = 0;
  for (std::int64_t next = 100; next < 1000; ++next) {
    const void* before = cache.keys().const_data_ptr();
    append(cache, {next});
    moves += cache.keys().const_data_ptr() != before;
  }
  check_holds(cache, range(0, 1000));
  CHECK(moves <= 12);  // a quarter more each time
  CHECK(cache.bytes() <= 1251 * kRowBytes);
}

TEST_CASE("any run of appends and keeps holds what a list of rows holds", "[core]") {
  Random random(31);
  for (int run = 0; run < 60; ++run) {
    LayerCache cache;
    std::vector<Ids> model(kGroups);
    std::int64_t next = random.between(0, 5);
    bool per_head = false;
    for (int step = 0; step < 8; ++step) {
      const std::int64_t room = random.between(0, 4), rows = cache.rows();
      const std::int64_t choice = rows == 0 ? 0 : random.between(0, 3);
      if (choice < 2) {
        Ids positions;
        for (std::int64_t i = random.between(1, 6); i > 0; --i) {
          positions.push_back(next);
          next += random.between(1, 3);
        }
        append(cache, positions, room);
        for (Ids& head : model) head.insert(head.end(), positions.begin(), positions.end());
      } else {
        const std::int64_t kept = random.between(1, rows);
        std::vector<at::Tensor> chosen;
        for (std::int64_t g = 0; g < kGroups; ++g)
          chosen.push_back(choice == 3 || g == 0 ? longs(random.subset(rows, kept)) : chosen[0]);
        for (std::size_t g = 0; g < kGroups; ++g)
          model[g] = to_ids(longs(model[g]).index_select(0, chosen[g]));
        cache.keep(choice == 3 ? at::stack(chosen) : chosen[0], room);
        per_head = per_head || choice == 3;
        const std::size_t place =
            per_head ? kRowBytes + (kGroups - 1) * sizeof(std::int64_t) : kRowBytes;
        CHECK(cache.bytes() == static_cast<std::size_t>(kept + room) * place);  // at once
      }
      CHECK(cache.per_head() == per_head);
      check_heads_hold(cache, model);
    }
  }
}

TEST_CASE("rows kept twice are rows kept once by the composed retention", "[core]") {
  Random random(32);
  for (int i = 0; i < 100; ++i) {
    const std::int64_t rows = random.between(1, 30);
    const Retention first = random.retention({rows});
    const Retention second = random.retention(kept_lengths(first));
    LayerCache twice = filled(range(3, 3 + rows)), once = twice.fork();
    twice.keep(first.row(0), 0);
    twice.keep(second.row(0), 0);
    once.keep(first.compose(second).row(0), 0);
    CHECK(at::equal(twice.keys(), once.keys()));
    CHECK(at::equal(twice.values(), once.values()));
    CHECK(at::equal(twice.positions(), once.positions()));
  }
}

TEST_CASE("forks go their own ways", "[core]") {
  LayerCache cache = filled(range(0, 3), 4);
  LayerCache fork = cache.fork();
  append(cache, {3});
  append(fork, {7, 9});
  check_holds(cache, {0, 1, 2, 3});
  check_holds(fork, {0, 1, 2, 7, 9});
  cache.keep(longs({0}), 0);
  check_holds(fork, {0, 1, 2, 7, 9});
}

TEST_CASE("strided and half-precision rows are stored as they are", "[core]") {
  Random random(33);
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    LayerCache cache;
    const at::Tensor keys = random.normal({kSize, kGroups, 10}).permute({2, 1, 0}).to(dtype);
    const at::Tensor some = keys.slice(0, 0, 10, 2);
    cache.append(some, some, longs({0, 2, 4, 6, 8}), 1);
    CHECK(cache.keys().scalar_type() == dtype);
    CHECK(at::equal(cache.keys(), some.transpose(0, 1)));
    cache.keep(longs({9, 1, 9, 4}).slice(0, 1, 4, 2), 0);
    CHECK(at::equal(cache.values()[0], some.select(1, 0).index_select(0, longs({1, 4}))));
  }
}

TEST_CASE("an append of nothing and a keep of nothing are allowed", "[core]") {
  LayerCache cache = filled({0, 1});
  cache.append(keys_at({}), keys_at({}), longs({}), 0);
  check_holds(cache, {0, 1});
  cache.keep(longs({}), 2);
  CHECK(cache.rows() == 0);
  append(cache, {1});  // no row is left that it would have to stand behind
  check_holds(cache, {1});
}

/// Checks that the call throws what is given and that the cache is what it was.
template <class Error, class Call>
void check_refused(LayerCache& cache, const Call& call, const std::vector<std::string>& words) {
  const LayerCache before = cache.fork();
  const void* storage = cache.rows() > 0 ? cache.parts().back().keys.const_data_ptr() : nullptr;
  const std::size_t bytes = cache.bytes();
  check_throws<Error>([&] { call(cache); }, words);
  CHECK(cache.rows() == before.rows());
  CHECK(cache.bytes() == bytes);
  if (before.rows() == 0) return;
  CHECK(cache.parts().back().keys.const_data_ptr() == storage);
  CHECK(at::equal(cache.keys(), before.keys()));
  CHECK(at::equal(cache.values(), before.values()));
  CHECK(at::equal(cache.positions(), before.positions()));
}

TEST_CASE("a refused append leaves the cache as it was", "[core]") {
  const at::Tensor keys = keys_at({5, 6});
  const auto appends = [](at::Tensor keys, at::Tensor values, at::Tensor positions,
                          std::int64_t room = 0) {
    return [=](LayerCache& cache) { cache.append(keys, values, positions, room); };
  };
  for (const bool per_head : {false, true}) {
    LayerCache cache = filled({0, 2, 3}, 4);
    if (per_head) cache.keep(longs({0, 1, 0, 2, 1, 2}).view({3, 2}), 4);
    const auto refused = [&](const auto& call, const std::string& words) {
      check_refused<c10::ValueError>(cache, call, {words});
    };
    const std::string shapes = "keys and values must be [T, G, D] with one position per token";
    refused(appends(keys[0], keys[0], longs({5, 6})), shapes);
    refused(appends(keys, keys.slice(0, 1), longs({5, 6})), shapes);
    refused(appends(keys, keys, longs({5})), shapes);
    refused(appends(keys, keys, longs({5, 6}).view({2, 1})), shapes);
    refused(appends(at::Tensor(), at::Tensor(), at::Tensor()), shapes);
    const at::Tensor other = at::zeros({2, kGroups + 1, kSize});
    refused(appends(other, other, longs({5, 6})), "the heads and head size of the cache");
    refused(appends(keys, keys, at::tensor({5, 6}, at::kInt)), "positions must be int64");
    refused(appends(keys, keys, longs({5, 6}), -1), "the room not negative");
    refused(appends(keys, keys, longs({6, 5})), "appended positions must ascend");
    refused(appends(keys, keys, longs({5, 5})), "appended positions must ascend");
    refused(appends(keys, keys, longs({3, 4})), "beyond those of the cache");
    refused(appends(keys, keys, longs({2, 7})), "beyond those of the cache");
    const std::int64_t much = std::int64_t{1} << 55;  // more than can be addressed
    LayerCache exact = filled({0});
    check_refused<c10::Error>(exact, appends(keys, keys, longs({5, 6}), much), {});
  }
  LayerCache empty;
  check_refused<c10::ValueError>(empty, appends(keys, keys, longs({0, 1}), -2), {"room"});
}

TEST_CASE("rows written to the storage count once they are added", "[core]") {
  LayerCache cache = filled({0, 2, 3}, 2);
  REQUIRE(cache.capacity() == 5);
  LayerCache expected = cache.fork();
  const at::Tensor keys = at::randn({1, cache.keys().size(0), cache.keys().size(2)}),
                   values = at::randn_like(keys);
  expected.append(keys, values, longs({7}), 0);
  cache.key_storage().narrow(1, 3, 1).copy_(keys.transpose(0, 1));
  cache.value_storage().narrow(1, 3, 1).copy_(values.transpose(0, 1));
  cache.position_storage().narrow(0, 3, 1).fill_(7);
  CHECK(cache.rows() == 3);
  cache.add_rows(1);
  CHECK(cache.rows() == 4);
  CHECK(at::equal(cache.keys(), expected.keys()));
  CHECK(at::equal(cache.values(), expected.values()));
  CHECK(at::equal(cache.positions(), expected.positions()));
  check_refused<c10::ValueError>(cache, [](LayerCache& held) { held.add_rows(2); },
                                 {"within a cache's storage of 5"});
  check_refused<c10::ValueError>(cache, [](LayerCache& held) { held.add_rows(-1); }, {"-1"});
  CHECK(LayerCache().capacity() == 0);
}

TEST_CASE("a refused keep leaves the cache as it was", "[core]") {
  const auto keeps = [](at::Tensor indices, std::int64_t room = 0) {
    return [=](LayerCache& cache) { cache.keep(indices, room); };
  };
  LayerCache cache = filled({0, 2, 3, 9}, 2);
  const auto refused = [&](const auto& call, const std::string& words) {
    check_refused<c10::ValueError>(cache, call, {words});
  };
  const std::string shapes = "int64 indices [K] or [G, K]";
  refused(keeps(at::Tensor()), shapes);
  refused(keeps(at::tensor({0, 1}, at::kInt)), shapes);
  refused(keeps(at::zeros({2, 1}, at::kLong)), shapes);
  refused(keeps(at::scalar_tensor(1, at::kLong)), shapes);
  refused(keeps(longs({1, 0})), "in ascending order");
  refused(keeps(longs({1, 1})), "in ascending order");
  refused(keeps(longs({0, 1, 0, 1, 1, 0}).view({3, 2})), "in ascending order");
  refused(keeps(longs({1}), -1), "room that is not negative");
  check_refused<c10::Error>(cache, keeps(longs({0, 4})), {"4"});
  check_refused<c10::Error>(cache, keeps(longs({-1, 2})), {"-1"});
  check_refused<c10::Error>(cache, keeps(longs({0, 4, 0, 1, 0, 1}).view({3, 2})), {"4"});
  check_refused<c10::Error>(cache, keeps(longs({0}), std::int64_t{1} << 55), {});
  LayerCache empty;
  check_refused<c10::ValueError>(empty, keeps(longs({0})), {"keeps rows that it has"});
  check_refused<c10::ValueError>(empty, keeps(at::zeros({3, 1}, at::kLong)), {shapes});
}

TEST_CASE("frozen rows are shared by forks, each of which goes its own way", "[core]") {
  LayerCache cache = filled({0, 2, 3}, 2);
  cache.freeze();
  check_holds(cache, {0, 2, 3});
  CHECK(cache.bytes() == 3 * kRowBytes);  // the room is gone
  CHECK(cache.frozen_bytes() == cache.bytes());
  CHECK(cache.capacity() == 0);
  LayerCache one = cache.fork(), other = cache.fork();
  append(one, {5, 8}, 1);
  append(other, {4}, 0);
  append(one, {9}, 0);
  check_holds(one, {0, 2, 3, 5, 8, 9});
  check_holds(other, {0, 2, 3, 4});
  check_holds(cache, {0, 2, 3});
  CHECK(one.frozen()[0].keys.const_data_ptr() == cache.keys().const_data_ptr());
  CHECK(one.frozen_bytes() == 3 * kRowBytes);
  CHECK(one.bytes() == 6 * kRowBytes);
  REQUIRE(one.parts().size() == 2);
  CHECK(to_ids(one.parts()[1].positions) == Ids{5, 8, 9});
  LayerCache copy = one.fork();
  append(copy, {10}, 0);
  check_holds(one, {0, 2, 3, 5, 8, 9});
  check_holds(copy, {0, 2, 3, 5, 8, 9, 10});
}

TEST_CASE("frozen rows are kept, refused and counted like others", "[core]") {
  LayerCache cache = filled({0, 2, 3});
  cache.freeze();
  append(cache, {5, 8}, 0);
  check_refused<c10::ValueError>(cache, [](LayerCache& held) { append(held, {8}); },
                                 {"beyond those of the cache"});
  LayerCache frozen = cache.fork();
  frozen.freeze();
  check_refused<c10::ValueError>(frozen, [](LayerCache& held) { append(held, {8}); },
                                 {"beyond those of the cache"});
  const at::Tensor wide = at::zeros({1, kGroups + 1, kSize});
  check_refused<c10::ValueError>(frozen,
                                 [&](LayerCache& held) { held.append(wide, wide, longs({9}), 0); },
                                 {"the heads and head size of the cache"});
  LayerCache shared = cache.fork();
  shared.keep(longs({0, 2, 4}), 1);
  check_holds(shared, {0, 3, 8});
  CHECK(shared.frozen_bytes() == 0);
  CHECK(shared.bytes() == 4 * kRowBytes);
  check_holds(cache, {0, 2, 3, 5, 8});
  LayerCache heads = cache.fork();
  heads.keep(longs({0, 1, 1, 2, 3, 4}).view({3, 2}), 1);
  check_heads_hold(heads, {{0, 2}, {2, 3}, {5, 8}});
  check_refused<c10::ValueError>(heads, [](LayerCache& held) { held.freeze(); },
                                 {"different rows cannot be frozen"});
}

TEST_CASE("rows in int8 are within half a step of what they were", "[core]") {
  at::manual_seed(3);
  const at::Tensor keys = at::randn({9, kGroups, 16}).mul_(5), values = at::randn({9, kGroups, 16});
  keys[4].zero_();
  LayerCache cache;
  cache.append(keys, values, at::arange(9), 0);
  cache.freeze(true);
  const auto near = [](const at::Tensor& got, const at::Tensor& expected) {  // [G, rows, D]
    const at::Tensor step = expected.abs().amax(-1, true).div(127);
    return at::Tensor(got - expected).abs().le(step.mul(0.5001)).all().item<bool>();
  };
  CHECK(near(cache.keys(), keys.transpose(0, 1)));
  CHECK(near(cache.values(), values.transpose(0, 1)));
  CHECK(cache.frozen_bytes() == 9 * (2 * kGroups * (16 + sizeof(float)) + sizeof(std::int64_t)));
  LayerCache longer = cache.fork();
  longer.append(keys, values, at::arange(9, 18), 0);
  CHECK(at::equal(longer.keys().narrow(1, 9, 9), keys.transpose(0, 1)));
  LayerCache again = longer.fork();
  again.freeze(true);
  REQUIRE(again.parts().size() == 1);
  CHECK(near(again.keys(), at::cat({keys, keys}).transpose(0, 1)));
  longer.freeze();
  REQUIRE(longer.parts().size() == 2);  // of two kinds
  longer.frozen_to_int8();
  CHECK(at::equal(longer.keys(), again.keys()));
  longer.keep(longs({0, 12}), 0);
  CHECK(longer.frozen_bytes() == 0);
  CHECK(at::equal(longer.keys(), again.keys().index_select(1, longs({0, 12}))));
  const at::Tensor odd = at::full({1, kGroups, 16}, 1.0);
  odd[0][1][3] = NAN;
  LayerCache broken;
  broken.append(odd, odd, at::arange(1), 0);
  broken.freeze(true);
  CHECK(broken.keys()[1].isnan().any().item<bool>());
  CHECK(broken.keys()[0].eq(1).all().item<bool>());
}

TEST_CASE("freezing again and again leaves few parts", "[core]") {
  LayerCache cache;
  cache.freeze();
  CHECK(cache.rows() == 0);
  for (std::int64_t i = 0; i < 100; ++i) {
    append(cache, {i});
    cache.freeze();
  }
  check_holds(cache, range(0, 100));
  CHECK(cache.parts().size() <= 7);
  CHECK(cache.bytes() == 100 * kRowBytes);
  const LayerCache made = LayerCache::of(cache.parts()[0]);
  check_holds(made, range(0, 64));
}

}  // namespace
}  // namespace promptdistill::test
