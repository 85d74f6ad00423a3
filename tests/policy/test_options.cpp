// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Settings from text and back, hostile text, and the one switch from settings to a policy.

#include <cmath>

#include "tests/core/test_support.hpp"

namespace promptdistill::test {
namespace {

/// What a command line's text comes to: parsed, then validated.
AnyDistiller distiller_of(const std::string& stages) {
  DistillOptions options;
  options.stages = parse_stages(stages);
  return make_distiller(options);
}

std::string again(const std::string& stages) { return to_string(parse_stages(stages)); }

TEST_CASE("stages from text", "[policy]") {
  CHECK(parse_stages("").empty());
  CHECK(parse_stages("none").empty());
  const auto stages = parse_stages("7:2048,14:25%,20:0.5%");
  REQUIRE(stages.size() == 3);
  CHECK(stages[0].layer == 7);
  CHECK(std::get<Count>(stages[0].budget).tokens == 2048);
  CHECK(stages[1].layer == 14);
  CHECK(std::get<Ratio>(stages[1].budget).share == 0.25);
  CHECK(std::get<Ratio>(stages[2].budget).share == 0.005);
  CHECK(parse_stages("3:9223372036854775807").size() == 1);
}

TEST_CASE("stages to text and back are the same stages", "[policy]") {
  CHECK(to_string(std::vector<Stage>{}) == "none");
  for (const std::string text :
       {"none", "14:512", "7:2048,14:25%,20:256", "14:29%", "14:7%", "0:0.1%", "14:33.3%",
        "14:12.3456789%", "14:99.99999999999%", "1234567:1234567", "14:100%", "14:10%", "14:20%"})
    CHECK(again(text) == text);
  Random random(95);
  for (int i = 0; i < 2000; ++i) {
    const double percent = static_cast<double>(random.between(1, 1000000000)) / 1e7;
    const double share = percent / 100;
    const auto stages = parse_stages(to_string({{3, Ratio{share}}}));
    CHECK(std::get<Ratio>(stages.at(0).budget).share == share);
    const double any = static_cast<double>(random.between(1, std::int64_t{1} << 53)) /
                       static_cast<double>(std::int64_t{1} << 53);
    const auto close = parse_stages(to_string({{3, Ratio{any}}}));
    CHECK(std::abs(std::get<Ratio>(close.at(0).budget).share / any - 1) < 3e-16);
  }
}

TEST_CASE("text that is no stage is refused", "[policy]") {
  const std::string form = "a stage must read LAYER:BUDGET";
  const std::string layer = "a stage's layer must be a number";
  const std::string budget = "a stage's budget must be a number";
  const std::string percentage = "a stage's percentage must be a number";
  const std::vector<std::pair<std::string, std::string>> cases{
      {"14", form},
      {"14:512,", form + ", as 14:512 or 14:25%, got ''"},
      {",14:512", form},
      {",", form},
      {" ", form},
      {"None", form},
      {":5", layer + ", got '' in ':5'"},
      {":", layer},
      {" 14:5", layer + ", got ' 14'"},
      {"+14:5", layer},
      {"0x1:5", layer},
      {"1.5:5", layer},
      {"99999999999999999999:1", layer + ", got '99999999999999999999'"},
      {"\xd9\xa1\xd9\xa4:5", layer},  // 14 in Arabic digits
      {"14:", budget + ", got '' in '14:'"},
      {"14:5 ", budget},
      {"14: 5", budget},
      {"14:5:6", budget},
      {"14:5.5", budget},
      {"14:1e3", budget},
      {"14:512;20:5", budget},
      {"14:99999999999999999999", budget},
      {"14:\xef\xbc\x95", budget},  // a full-width 5
      {std::string("14:5\0", 5), budget},
      {"14:%", percentage},
      {"14:5%%", percentage},
      {"14:5 %", percentage},
      {"14:abc%", percentage},
      {"14:1e999%", percentage},
      {"14:+5%", percentage},
      {"14:0,5%", ""}};
  for (const auto& [text, words] : cases)
    check_value_error([&text = text] { parse_stages(text); }, {words});
}

TEST_CASE("stages that read well but break a rule are refused when a policy is made", "[policy]") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"14:0", "layer 14 must be at least 1 token, got 0"},
      {"14:-1", "layer 14 must be at least 1 token, got -1"},
      {"14:101%", "layer 14 must be a share above 0 and at most 1 (100%), got 1.01"},
      {"14:0%", "must be a share above 0"},
      {"14:-5%", "must be a share above 0"},
      {"14:nan%", "must be a share above 0"},
      {"14:-nan%", "must be a share above 0"},
      {"14:inf%", "must be a share above 0"},
      {"14:infinity%", "must be a share above 0"},
      {"14:512,14:3", "distinct layers, got layer 14 after layer 14"},
      {"20:5,14:5", "ascending order of distinct layers, got layer 14 after layer 20"},
      {"-1:5", "layer must not be negative, got -1"}};
  for (const auto& [text, words] : cases)
    check_value_error([&text = text] { distiller_of(text); }, {words});
  CHECK(distiller_of("14:100%").selects_at(14));
}

TEST_CASE("voting heads from text and back", "[policy]") {
  CHECK(parse_heads("").empty());
  CHECK(parse_heads("all").empty());
  CHECK(parse_heads("14:1,3;20:3,4,5") == HeadMap{{14, {1, 3}}, {20, {3, 4, 5}}});
  for (const std::string text : {"all", "7:7", "14:1,3;20:3,4,5", "0:0"})
    CHECK(to_string(parse_heads(text)) == text);
  Random random(96);
  for (int i = 0; i < 200; ++i) {
    HeadMap heads;
    for (std::int64_t layers = random.between(0, 4); layers > 0; --layers) {
      Ids& voters = heads[random.between(0, 100)];
      for (std::int64_t n = random.between(1, 5); n > 0; --n)
        voters.push_back(random.between(0, 64));
    }
    CHECK(parse_heads(to_string(heads)) == heads);
  }
}

TEST_CASE("text that names no voting heads is refused", "[policy]") {
  const std::string form = "voting heads must read LAYER:HEAD,HEAD";
  const std::string layer = "a layer of voting heads must be a number";
  const std::string head = "a voting head must be a number";
  const std::vector<std::pair<std::string, std::string>> cases{
      {"14", form},
      {"14:1;", form},
      {";", form},
      {" ", form},
      {"ALL", form},
      {":1", layer},
      {"x:1", layer},
      {"14 :1", layer},
      {"14:", head + ", got '' in '14:'"},
      {"14:1,", head},
      {"14:,1", head},
      {"14:1,,3", head},
      {"14:1, 3", head + ", got ' 3'"},
      {"14:1:3", head},
      {"14:1.0", head},
      {"14:\xe2\x91\xa0", head},  // a circled 1
      {"14:99999999999999999999", head},
      {"14:1;14:2", "name a layer once, got layer 14 twice"}};
  for (const auto& [text, words] : cases)
    check_value_error([&text = text] { parse_heads(text); }, {words});
  DistillOptions options;
  options.heads = parse_heads("-2:1");
  check_value_error([&] { make_distiller(options); }, {"layer -2 must exist"});
  options.heads = parse_heads("14:-1");
  check_index_error([&] { make_distiller(options).check(30, 9); }, {"got -1 for layer 14"});
}

TEST_CASE("truncation and scorer from text", "[policy]") {
  CHECK(parse_truncate("none") == 0);
  CHECK(parse_truncate("all") == kTruncateAll);
  CHECK(parse_truncate("0") == 0);
  CHECK(parse_truncate("12") == 12);
  check_value_error([] { parse_truncate("-1"); }, {"none, all or at least 0, got -1"});
  for (const std::string text : {"", " ", "1 ", "All", "1.5", "99999999999999999999", "\xc2\xb9"})
    check_value_error([&] { parse_truncate(text); }, {"truncated stages (none, all or N)"});

  for (const ScorerKind kind : {ScorerKind::kLast, ScorerKind::kWindow, ScorerKind::kRawWindow})
    CHECK(parse_scorer(to_string(kind)) == kind);
  CHECK(to_string(ScorerKind::kLast) == "last");
  for (const std::string text : {"", "Last", "last ", "windows", "1"})
    check_value_error([&] { parse_scorer(text); },
                      {"must be last, window or raw, got '" + text + "'"});
}

TEST_CASE("a policy is made of every setting", "[policy]") {
  Random random(97);
  const at::Tensor positions = at::arange(40, at::kLong);
  const LayerProbe one{4, random.normal({4, 1, 8}), random.normal({2, 40, 8}),
                       positions.slice(0, 39), positions};
  LayerProbe six = one;
  six.queries = random.normal({4, 6, 8});
  six.query_positions = positions.slice(0, 34);

  DistillOptions options;
  options.stages = {{4, Count{7}}};
  const auto same = [&](const auto& policy, const LayerProbe& probe) {
    const Selection got = make_distiller(options).select(probe), wanted = policy.select(probe);
    CHECK(at::equal(got.indices, wanted.indices));
    CHECK(at::allclose(got.scores, wanted.scores));
  };
  const Schedule schedule(options.stages);
  same(Distiller<>(schedule), one);  // the defaults are the paper's
  CHECK(make_distiller(options).window(4) == 1);
  CHECK_FALSE(make_distiller(options).truncates_at(4));
  options.truncated_stages = kTruncateAll;
  CHECK(make_distiller(options).truncates_at(4));

  options.pool = 1;
  same(Distiller(schedule, Pooled(LastQueryScorer{}, 1)), one);
  options.heads = {{4, {3}}};
  same(Distiller(schedule, Pooled(HeadWeighted(LastQueryScorer{}, {{4, {3}}}), 1)), one);
  options.scorer = ScorerKind::kWindow;
  CHECK(make_distiller(options).window(4) == 16);
  options.window = 6;
  options.protect_first = 3;
  same(
      Distiller(schedule, Pooled(HeadWeighted(ObservationWindowScorer(6), {{4, {3}}}), 1), TopK(3)),
      six);
  LayerProbe nine = one;
  nine.queries = random.normal({4, 9, 8});
  nine.query_positions = positions.slice(0, 31);
  options.scorer = ScorerKind::kRawWindow;
  options.skip_last = 3;
  CHECK(make_distiller(options).window(4) == 9);
  CHECK(scoring_tail(options) == 9);
  same(Distiller(schedule, Pooled(HeadWeighted(SkipLast(RawWindowScorer(6), 3), {{4, {3}}}), 1),
                 TopK(3)),
       nine);
  options.protect_last = 20;
  same(Distiller(schedule, Pooled(HeadWeighted(SkipLast(RawWindowScorer(6), 3), {{4, {3}}}), 1),
                 TopK(3, 20)),
       nine);
}

TEST_CASE("a setting that breaks its rule is refused when a policy is made", "[policy]") {
  const auto refused = [](auto change, const std::string& words) {
    DistillOptions options;
    options.stages = {{4, Count{7}}};
    change(options);
    check_value_error([&] { make_distiller(options); }, {words});
  };
  refused([](DistillOptions& o) { o.pool = 4; }, "kernel must be odd");
  refused([](DistillOptions& o) { o.pool = 0; }, "kernel must be odd and at least 1, got 0");
  refused([](DistillOptions& o) { o.protect_first = -1; }, "must not be negative, got -1");
  refused([](DistillOptions& o) { o.protect_last = -2; }, "must not be negative, got -2");
  refused([](DistillOptions& o) { o.skip_last = -1; }, "must not be negative, got -1");
  refused([](DistillOptions& o) { o.truncated_stages = 2; }, "between 0 and the 1 stages");
  refused([](DistillOptions& o) { o.truncated_stages = -2; }, "got -2");
  refused([](DistillOptions& o) { o.heads[4] = {}; }, "name at least one voting head");
  refused(
      [](DistillOptions& o) {
        o.scorer = ScorerKind::kWindow;
        o.window = 0;
      },
      "at least 1 query, got 0");
  refused(
      [](DistillOptions& o) {
        o.scorer = ScorerKind::kRawWindow;
        o.window = 0;
      },
      "at least 1 query, got 0");
}

}  // namespace
}  // namespace promptdistill::test
