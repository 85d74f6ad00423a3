#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Many settings of one method from a few lists of values.

#include <fmt/format.h>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "examples/common/method_flags.hpp"
#include "examples/common/methods.hpp"
#include "examples/common/program.hpp"

namespace promptdistill::examples {

/// One axis: a setting and its values.
struct SweepAxis {
  std::string key;
  std::vector<std::string> values;
};

/// "layer=8:26:2" (from, to and step, both ends included) or "budget=64,128,25%". Throws
/// UsageError.
inline SweepAxis parse_axis(const std::string& text) {
  const auto fail = [&](const std::string& why) {
    throw UsageError(fmt::format(
        "--sweep must read KEY=VALUE,VALUE,... or KEY=FROM:TO:STEP, got '{}': {}", text, why));
  };
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    fail("a key and values are needed");
  SweepAxis axis{text.substr(0, equals), {}};
  const std::string values = text.substr(equals + 1);
  if (values.find(':') == std::string::npos) {
    for (std::string& value : promptdistill::detail::split(values, ',')) {
      if (value.empty()) fail("a value is empty");
      axis.values.push_back(std::move(value));
    }
    return axis;
  }
  const std::vector<std::string> parts = promptdistill::detail::split(values, ':');
  std::vector<std::int64_t> numbers;
  for (const std::string& part : parts) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (error != std::errc() || end != part.data() + part.size()) fail("a range has whole numbers");
    numbers.push_back(number);
  }
  if (numbers.size() < 2 || numbers.size() > 3) fail("a range has two or three numbers");
  const std::int64_t step = numbers.size() == 3 ? numbers[2] : 1;
  if (step < 1 || numbers[1] < numbers[0] || (numbers[1] - numbers[0]) / step > 1000)
    fail("a range ascends in at most 1,000 steps");
  for (std::int64_t number = numbers[0]; number <= numbers[1]; number += step)
    axis.values.push_back(std::to_string(number));
  return axis;
}

/// `base` with every combination of the axes' values; those that differ in nothing that matters are
/// one. Keys are PromptDistill's settings, `layer` and `budget` of a single stage among them; a
/// window means the window scorer. Throws UsageError on a key or value that is none.
inline std::vector<Method> sweep(const MethodOptions& base, const std::vector<SweepAxis>& axes) {
  std::vector<Method> all;
  std::set<std::string> known;
  std::vector<std::size_t> at(axes.size(), 0);
  for (bool more = !axes.empty(); more;) {
    MethodOptions method = base;
    method.kind = MethodKind::kPromptDistill;
    Stage stage = base.distill.stages.empty() ? Stage{0, Count{512}} : base.distill.stages.back();
    reading_flags([&] {
      for (std::size_t a = 0; a < axes.size(); ++a) {
        const std::string& key = axes[a].key;
        const std::string& value = axes[a].values[at[a]];
        if (key == "layer" || key == "budget") {
          const std::vector<Stage> read =
              parse_stages(key == "layer" ? value + ":1" : "0:" + value);
          if (key == "layer") stage.layer = read.front().layer;
          if (key == "budget") stage.budget = read.front().budget;
          method.distill.stages = {stage};
          continue;
        }
        bool found = false;
        visit_settings(method, [&](const char* each, auto&& setting) {
          if (key != each) return;
          found = true;
          promptdistill::detail::read_setting(value, "--sweep's " + key, setting);
        });
        if (!found) throw UsageError("--sweep: promptdistill has no setting '" + key + "'");
        if (key == "window" && !has_window(method.distill.scorer))
          method.distill.scorer = ScorerKind::kWindow;
      }
      if (method.distill.stages.empty())
        throw UsageError("--sweep needs layer=... and budget=..., or --profile or --stages");
      check_settings(method);
    });
    std::string text = to_string(method);
    if (known.insert(text).second) all.push_back({std::move(text), std::move(method)});
    more = false;
    for (std::size_t a = axes.size(); a-- > 0 && !more;) {
      more = ++at[a] < axes[a].values.size();
      if (!more) at[a] = 0;
    }
  }
  return all;
}

}  // namespace promptdistill::examples
