#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Settings found for one checkpoint, as a small versioned JSON beside it.

#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "promptdistill/io/json_file.hpp"
#include "promptdistill/io/load_error.hpp"
#include "promptdistill/options.hpp"

namespace promptdistill {

/// What calibration found: which checkpoint it is for, the settings, and what they were measured to
/// do.
struct Profile {
  static constexpr std::int64_t kVersion = 1;

  std::string name;
  std::string fingerprint;  // of the checkpoint, see fingerprint(folder)
  DistillOptions options;
  std::optional<std::int64_t> longest_prompt;  // tokens it was tried with; empty: not said
  nlohmann::json evidence = nlohmann::json::object();

  /// Throws LoadError naming file and key on anything that is missing, of a wrong type, of a newer
  /// version or against a rule.
  static Profile load(const std::filesystem::path& path) {
    const JsonObject json = JsonObject::load(path);
    if (const auto version = json.get<std::int64_t>("version"); version != kVersion) {
      json.fail("version",
                "must be " + std::to_string(kVersion) + ", got " + std::to_string(version));
    }
    Profile profile;
    profile.name = json.get<std::string>("name");
    profile.fingerprint = json.get<std::string>("fingerprint");
    try {
      DistillOptions& options = profile.options;
      options.scorer = parse_scorer(json.get<std::string>("scorer"));
      options.window = json.get<std::int64_t>("window");
      if (json.has("skip_last")) options.skip_last = json.get<std::int64_t>("skip_last");
      options.pool = json.get<std::int64_t>("pool");
      options.protect_first = json.get<std::int64_t>("protect_first");
      if (json.has("protect_last")) options.protect_last = json.get<std::int64_t>("protect_last");
      options.heads = parse_heads(json.get<std::string>("heads"));
      options.stages = parse_stages(json.get<std::string>("stages"));
      options.truncated_stages = parse_truncate(json.get<std::string>("truncate"));
      make_distiller(options);
    } catch (const c10::Error& error) {
      throw LoadError(path, "the settings:", error.what_without_backtrace());
    }
    if (json.has("longest_prompt"))
      profile.longest_prompt =
          json.integer("longest_prompt", 1, std::numeric_limits<std::int64_t>::max());
    profile.evidence = json.object("evidence").json();
    return profile;
  }

  /// Throws LoadError unless the profile was made for the checkpoint with this fingerprint.
  void check_fingerprint(const std::filesystem::path& path, const std::string& checkpoint) const {
    if (checkpoint == fingerprint) return;
    throw LoadError(path, "key fingerprint",
                    "says it was made for another checkpoint (" + fingerprint + "), this one is " +
                        checkpoint + "; --profile none ignores it");
  }
};

}  // namespace promptdistill
