#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Settings found for one checkpoint, as a small versioned JSON beside it.

#include <nlohmann/json.hpp>

#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "promptdistill/io/load_error.hpp"
#include "promptdistill/options.hpp"

namespace promptdistill {

/// What calibration found: which checkpoint it is for, the settings, and what they were measured to do.
struct Profile {
  static constexpr std::int64_t kVersion = 1;

  std::string name;
  std::string fingerprint;  // of the checkpoint, see fingerprint(folder)
  DistillOptions options;
  nlohmann::json evidence = nlohmann::json::object();

  /// Throws LoadError naming file and key on anything that is missing, of a wrong type, of a newer version or against a rule.
  static Profile load(const std::filesystem::path& path) {
    std::ifstream in(path);
    if (!in) throw LoadError(path, "profile", "cannot be read");
    nlohmann::json json;
    try {
      json = nlohmann::json::parse(in);
    } catch (const std::exception& error) {
      throw LoadError(path, "profile", std::string("must be JSON: ") + error.what());
    }
    const auto get = [&]<class T>(const char* key, T) {
      try {
        return json.at(key).get<T>();
      } catch (const nlohmann::json::exception&) {
        throw LoadError(path, key, json.is_object() && json.contains(key) ? "has the wrong type" : "is missing");
      }
    };
    if (const auto version = get("version", std::int64_t{}); version != kVersion) {
      throw LoadError(path, "version", "must be " + std::to_string(kVersion) + ", got " + std::to_string(version));
    }
    Profile profile;
    profile.name = get("name", std::string());
    profile.fingerprint = get("fingerprint", std::string());
    try {
      DistillOptions& options = profile.options;
      options.scorer = parse_scorer(get("scorer", std::string()));
      options.window = get("window", std::int64_t{});
      options.pool = get("pool", std::int64_t{});
      options.protect_first = get("protect_first", std::int64_t{});
      options.heads = parse_heads(get("heads", std::string()));
      options.stages = parse_stages(get("stages", std::string()));
      options.truncated_stages = parse_truncate(get("truncate", std::string()));
      make_distiller(options);
    } catch (const c10::Error& error) {
      throw LoadError(path, "settings", error.what_without_backtrace());
    }
    profile.evidence = get("evidence", nlohmann::json());
    return profile;
  }

  /// Throws LoadError unless the profile was made for the checkpoint with this fingerprint.
  void check_fingerprint(const std::filesystem::path& path, const std::string& checkpoint) const {
    if (checkpoint == fingerprint) return;
    throw LoadError(path, "fingerprint", "was made for another checkpoint (" + fingerprint + "), this one is " + checkpoint + "; --profile none ignores it");
  }
};

}  // namespace promptdistill
