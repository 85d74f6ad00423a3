#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The command line's settings of how tokens are drawn.

#include <CLI/CLI.hpp>

#include "examples/common/program.hpp"
#include "promptdistill/model/sampler.hpp"

namespace promptdistill::examples {

struct SamplingFlags {
  SamplingOptions options;

  void add_to(CLI::App& app, const char* group) {
    app.add_option("--temperature", options.temperature, "0: greedy")
        ->capture_default_str()
        ->group(group);
    app.add_option("--top-k", options.top_k, "0: off")->capture_default_str()->group(group);
    app.add_option("--top-p", options.top_p, "1: off")->capture_default_str()->group(group);
    app.add_option("--seed", options.seed,
                   "of the draws at a temperature above 0: the same seed gives the same answer")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str()
        ->group(group);
    app.add_option("--repetition-penalty", options.repetition_penalty,
                   "above 1: makes tokens of the prompt and the answer so far less likely; 1: off")
        ->capture_default_str()
        ->group(group);
  }

  /// Throws UsageError on a setting out of range, before anything is loaded.
  void check() const {
    reading_flags([&] { Sampler{options}; });
  }
};

}  // namespace promptdistill::examples
