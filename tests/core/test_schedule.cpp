// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Budgets, stages and the schedule that validates them.

#include <cmath>
#include <limits>

#include "tests/core/test_support.hpp"

namespace promptdistill::test {
namespace {

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST_CASE("a budget keeps its count or its share, rounded up, of what there is", "[core]") {
  CHECK(resolve(Count{5}, 9) == 5);
  CHECK(resolve(Count{9}, 9) == 9);
  CHECK(resolve(Count{kHuge}, 9) == 9);
  CHECK(resolve(Count{5}, 0) == 0);
  CHECK(resolve(Ratio{0.25}, 8) == 2);
  CHECK(resolve(Ratio{0.25}, 9) == 3);
  CHECK(resolve(Ratio{1.0}, 9) == 9);
  CHECK(resolve(Ratio{1e-300}, 9) == 1);
  CHECK(resolve(Ratio{0.5}, 0) == 0);
  CHECK(resolve(Ratio{1.0}, kHuge) == kHuge);  // its double is beyond int64
  for (std::int64_t candidates = 1; candidates < 200; ++candidates) {
    for (std::int64_t quarter = 1; quarter <= 4; ++quarter)
      CHECK(resolve(Ratio{static_cast<double>(quarter) / 4}, candidates) ==
            (candidates * quarter + 3) / 4);
  }
}

TEST_CASE("a schedule knows its stages", "[core]") {
  const Schedule schedule({{3, Count{8}}, {5, Ratio{0.5}}, {9, Count{1}}}, 2);
  CHECK(schedule.stage_at(3) == 0);
  CHECK(schedule.stage_at(5) == 1);
  CHECK(schedule.stage_at(9) == 2);
  for (const std::int64_t layer : {std::int64_t{-1}, std::int64_t{0}, std::int64_t{4}, kHuge})
    CHECK_FALSE(schedule.stage_at(layer));
  CHECK(schedule.stages().size() == 3);
  CHECK_FALSE(schedule.empty());
  CHECK(Schedule().empty());
  CHECK(Schedule(std::vector<Stage>{}, kTruncateAll).truncated_stages() == 0);
}

TEST_CASE("truncation covers the first stages", "[core]") {
  const std::vector<Stage> stages{{3, Count{8}}, {5, Count{4}}, {9, Count{1}}};
  for (std::int64_t n = 0; n <= 3; ++n) {
    const Schedule schedule(stages, n);
    CHECK(schedule.truncated_stages() == n);
    CHECK(schedule.truncates_at(3) == (n >= 1));
    CHECK(schedule.truncates_at(5) == (n >= 2));
    CHECK(schedule.truncates_at(9) == (n >= 3));
    CHECK_FALSE(schedule.truncates_at(4));
  }
  CHECK(Schedule(stages).truncated_stages() == 0);
  CHECK(Schedule(stages, kTruncateAll).truncated_stages() == 3);
  const std::string words = "between 0 and the 3 stages, or all, got ";
  check_value_error([&] { Schedule(stages, 4); }, {words + "4"});
  check_value_error([&] { Schedule(stages, -2); }, {words + "-2"});
  check_value_error([&] { Schedule(stages, kHuge); }, {words});
  check_value_error([&] { Schedule(std::vector<Stage>{}, 1); }, {"the 0 stages"});
}

TEST_CASE("a schedule refuses layers out of order", "[core]") {
  const std::string words = "ascending order of distinct layers, got layer ";
  check_value_error([] { Schedule({{5, Count{1}}, {3, Count{1}}}); }, {words + "3 after layer 5"});
  check_value_error([] { Schedule({{5, Count{1}}, {5, Count{2}}}); }, {words + "5 after layer 5"});
  check_value_error([] { Schedule({{-1, Count{1}}}); }, {"must not be negative, got -1"});
}

TEST_CASE("a schedule refuses budgets that keep nothing or more than all", "[core]") {
  for (const std::int64_t tokens : {std::int64_t{0}, std::int64_t{-1}, -kHuge})
    check_value_error(
        [&] {
          Schedule({{7, Count{tokens}}});
        },
        {"budget of the stage at layer 7 must be at least 1 token, got " + std::to_string(tokens)});
  for (const double share :
       {0.0, -0.0, -0.5, 1.01, kInfinity, -kInfinity, std::nan(""), std::nextafter(1.0, 2.0)})
    check_value_error(
        [&] {
          Schedule({{7, Ratio{share}}});
        },
        {"budget of the stage at layer 7 must be a share above 0 and at most 1"});
  CHECK_NOTHROW(Schedule({{0, Count{kHuge}}, {kHuge, Ratio{1e-320}}}));
}

TEST_CASE("a stage must come before the last layer of the model", "[core]") {
  const Schedule schedule({{0, Count{1}}, {4, Count{1}}});
  CHECK_NOTHROW(schedule.check_layers(6));
  CHECK_NOTHROW(Schedule().check_layers(1));
  check_index_error([&] { schedule.check_layers(5); },
                    {"before the last layer (4)", "saves nothing, got 4"});
  check_index_error([&] { schedule.check_layers(4); }, {"must exist", "layers 0 to 3, got 4"});
  check_index_error([&] { Schedule({{0, Count{1}}}).check_layers(1); }, {"last layer (0)"});
}

}  // namespace
}  // namespace promptdistill::test
