#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// --method beside the settings of distilling, and a method's settings as JSON.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>

#include "examples/common/distill_flags.hpp"
#include "examples/common/program.hpp"
#include "promptdistill/baseline/method_text.hpp"

namespace promptdistill::examples {

/// How --help explains a method.
inline constexpr const char* kMethodHelp =
    "full, promptdistill, gemfilter, gemfilter-improved, snapkv, h2o, streamingllm or fastkv, with "
    "settings as snapkv:capacity=512,window=32";

/// The method's name under "method" and all of its settings.
inline nlohmann::json to_json(MethodOptions method) {
  nlohmann::json out;
  if (method.kind == MethodKind::kFull || method.kind == MethodKind::kPromptDistill) {
    out = to_json(method.distill);
    out["placement"] = to_string(method.placement);
  } else {
    visit_settings(method, [&](const char* key, auto&& setting) {
      if constexpr (std::is_arithmetic_v<std::decay_t<decltype(setting)>>)
        out[key] = setting;
      else
        out[key] = promptdistill::detail::setting_text(setting);
    });
  }
  out["method"] = to_string(method.kind);
  return out;
}

/// The budget of the stage at `layer`, as it was asked for.
inline std::string budget_at(const MethodOptions& method, std::int64_t layer) {
  if (method.kind == MethodKind::kFastKv) return to_string(Budget(Ratio{method.fast_kv.rate}));
  if (method.kind != MethodKind::kPromptDistill) return std::to_string(method.gem_filter.tokens);
  for (const Stage& stage : method.distill.stages) {
    if (stage.layer == layer) return to_string(stage.budget);
  }
  return "";
}

/// Reads a method from the command line; promptdistill must have stages to be one.
inline MethodOptions read_method(const std::string& text) {
  MethodOptions method = reading_flags([&] { return parse_method(text); });
  if (method.kind == MethodKind::kPromptDistill && method.distill.stages.empty())
    throw UsageError("--method promptdistill needs stages, as promptdistill:stages=14:512");
  return method;
}

struct MethodSettings {
  MethodOptions method;
  std::string profile = "none";                // the file it came from
  bool asked = true;                           // for that file, or it lay beside the checkpoint
  std::optional<std::int64_t> longest_prompt;  // that the profile vouches for
};

/// The method of a program that runs one.
struct MethodFlag {
  std::optional<std::string> text;
  DistillFlags distill;

  void add_to(CLI::App& app) {
    app.add_option("--method", text,
                   std::string(kMethodHelp) +
                       " (default: promptdistill where --stages or a profile say how, else full)")
        ->option_text("NAME[:key=value,...]")
        ->group("Method");
    distill.add_to(app);
  }

  /// Throws UsageError where a flag has nothing to act on, what DistillFlags::resolve throws, and
  /// c10::IndexError where the method does not fit the model.
  MethodSettings resolve(const std::filesystem::path& model_dir, const ModelConfig& config) const {
    MethodSettings settings;
    if (!text || *text == "promptdistill") {
      const DistillSettings distilled = distill.resolve(model_dir);
      settings.method.distill = distilled.options;
      settings.method.placement = distilled.placement;
      settings.profile = distilled.profile;
      settings.asked = distilled.asked;
      settings.longest_prompt = distilled.longest_prompt;
      if (!distilled.options.stages.empty()) settings.method.kind = MethodKind::kPromptDistill;
      if (text && distilled.options.stages.empty())
        throw UsageError("--method promptdistill needs --stages or --profile");
    } else {
      settings.method = read_method(*text);
      if (const auto flag = distill.given())
        throw UsageError(fmt::format(
            "{} is no setting of --method {}: a method's own are written into it, as {}", *flag,
            *text, kMethodHelp));
    }
    check(settings.method, config.num_hidden_layers, config.num_attention_heads);
    return settings;
  }
};

}  // namespace promptdistill::examples
