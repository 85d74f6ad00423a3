#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The command line's settings of what to select: --stages, --profile and all that goes with them.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "examples/common/program.hpp"
#include "promptdistill/baseline/method_text.hpp"
#include "promptdistill/model/checkpoint.hpp"
#include "promptdistill/model/profile.hpp"
#include "promptdistill/options.hpp"

namespace promptdistill::examples {

/// The name of a profile that lies beside a checkpoint and is used where nothing else is asked for.
inline constexpr const char* kProfileName = "promptdistill.json";

struct DistillSettings {
  DistillOptions options;
  Placement placement = Placement::kBefore;
  std::string profile = "none";                // the file it came from
  bool asked = true;                           // for that file, or it lay beside the checkpoint
  std::optional<std::int64_t> longest_prompt;  // that the profile vouches for
};

inline nlohmann::json to_json(const DistillOptions& options) {
  return {
      {"stages", to_string(options.stages)},
      {"truncate", options.truncated_stages == kTruncateAll
                       ? nlohmann::json("all")
                       : nlohmann::json(options.truncated_stages)},
      {"scorer", to_string(options.scorer)},
      {"window", has_window(options.scorer) ? nlohmann::json(options.window) : nlohmann::json()},
      {"skip_last", options.skip_last},
      {"heads", to_string(options.heads)},
      {"pool", options.pool},
      {"protect_first", options.protect_first},
      {"protect_last", options.protect_last}};
}

/// Reads a profile and refuses one that was made for another checkpoint than that in `model_dir`.
inline Profile load_profile(const std::filesystem::path& path,
                            const std::filesystem::path& model_dir) {
  Profile profile = Profile::load(path);
  profile.check_fingerprint(path, fingerprint(model_dir));
  return profile;
}

struct DistillFlags {
  std::optional<std::string> stages, truncate, placement, scorer, heads, profile;
  std::optional<std::int64_t> window, skip_last, pool, protect_first, protect_last;

  void add_to(CLI::App& app) {
    const char* group = "Distilling";
    app.add_option("--stages", stages,
                   "where to select and how many tokens go on: LAYER:COUNT or LAYER:SHARE%, e.g. "
                   "14:512 or 14:25%,20:256; none: full attention")
        ->group(group);
    app.add_option("--truncate", truncate,
                   "how many stages also cut the caches before them: none (default), all or N")
        ->group(group);
    app.add_option("--placement", placement,
                   "select before a stage's attention (default), or after its layer as the paper's "
                   "authors do")
        ->check(CLI::IsMember({"before", "after"}))
        ->group(group);
    app.add_option("--scorer", scorer,
                   "last: the last query's raw logits, as the paper (default); window: softmax "
                   "attention of the last queries; raw: their logits' mean")
        ->group(group);
    app.add_option("--window", window, "queries of --scorer window and raw (default 16)")
        ->group(group);
    app.add_option("--skip-last", skip_last,
                   "tokens at the prompt's end that stay but do not score, as a chat template's "
                   "after the question (default 0)")
        ->group(group);
    app.add_option("--heads", heads,
                   "query heads that vote, per layer, e.g. '14:1,3;20:3,4,5' (default: all)")
        ->group(group);
    app.add_option("--pool", pool, "smooth scores over this many tokens, odd (default 5)")
        ->group(group);
    app.add_option("--protect-first", protect_first,
                   "tokens at the start that always stay (default 0)")
        ->group(group);
    app.add_option("--protect-last", protect_last,
                   "tokens at the end that always stay, as a question's (default 0: those that "
                   "score)")
        ->group(group);
    app.add_option("--profile", profile,
                   std::string("settings found for a checkpoint, a JSON file; flags beside it win. "
                               "none ignores MODEL_DIR/") +
                       kProfileName)
        ->group(group);
  }

  /// The first of these flags that was given.
  std::optional<std::string> given() const {
    if (stages) return "--stages";
    if (truncate) return "--truncate";
    if (placement) return "--placement";
    if (scorer) return "--scorer";
    if (window) return "--window";
    if (skip_last) return "--skip-last";
    if (heads) return "--heads";
    if (pool) return "--pool";
    if (protect_first) return "--protect-first";
    if (protect_last) return "--protect-last";
    if (profile) return "--profile";
    return std::nullopt;
  }

  /// The settings that hold: those of the profile asked for, or lying beside the checkpoint where
  /// no --stages are given, with every flag given put over them. Throws what the parsers throw and
  /// UsageError where flags have nothing to act on.
  DistillSettings resolve(const std::filesystem::path& model_dir) const {
    DistillSettings settings;
    if (placement) settings.placement = parse_placement(*placement);
    std::filesystem::path file = profile.value_or("none");
    if (!profile && !stages && std::filesystem::exists(model_dir / kProfileName)) {
      file = model_dir / kProfileName;
      settings.asked = false;
    }
    if (file != "none") {
      const Profile found = load_profile(file, model_dir);
      settings.options = found.options;
      settings.longest_prompt = found.longest_prompt;
      settings.profile = file.string();
    }
    DistillOptions& options = settings.options;
    reading_flags([&] {
      if (stages) options.stages = parse_stages(*stages);
      if (truncate) options.truncated_stages = parse_truncate(*truncate);
      if (scorer) options.scorer = parse_scorer(*scorer);
      if (window) options.window = *window;
      if (skip_last) options.skip_last = *skip_last;
      if (heads) options.heads = parse_heads(*heads);
      if (pool) options.pool = *pool;
      if (protect_first) options.protect_first = *protect_first;
      if (protect_last) options.protect_last = *protect_last;
      make_distiller(options);  // throws on a setting that breaks its rule
    });
    if (options.stages.empty() && (truncate || scorer || window || skip_last || heads || pool ||
                                   protect_first || protect_last)) {
      throw UsageError(
          "--truncate, --scorer, --window, --skip-last, --heads, --pool, --protect-first and "
          "--protect-last need --stages or --profile");
    }
    if (window && !has_window(options.scorer))
      throw UsageError("--window needs --scorer window or raw");
    return settings;
  }
};

}  // namespace promptdistill::examples
