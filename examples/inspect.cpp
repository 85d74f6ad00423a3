// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// promptdistill-inspect: what a model folder holds, and what a request to it would take, on paper.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "examples/common/distill_flags.hpp"
#include "examples/common/model_description.hpp"
#include "examples/common/model_flags.hpp"
#include "examples/common/program.hpp"
#include "examples/common/table.hpp"
#include "examples/common/units.hpp"
#include "examples/common/write_file.hpp"
#include "promptdistill/model/plan.hpp"

namespace {

namespace fs = std::filesystem;
namespace pd = promptdistill;
namespace ex = promptdistill::examples;
using nlohmann::json;

constexpr std::int64_t kSnapKvWindow = 32;  // its authors'

constexpr const char* kFooter = R"(Examples:
  promptdistill-inspect MODEL_DIR
  promptdistill-inspect MODEL_DIR --prompt-tokens 4096 --stages 14:512
  promptdistill-inspect DIR_WITH_CONFIG_JSON --prompt-tokens 131072 --stages 13:2048 --truncate all --batch 4

Only config.json is needed; what else is in the folder is described.
Exit codes: 0 shown, 1 failure, 2 bad usage.)";

struct Flags {
  fs::path model_dir;
  std::optional<std::int64_t> prompt_tokens, budget, gem_layer;
  std::int64_t batch = 1, max_new_tokens = 64;
  std::string dtype = "auto";
  ex::DistillFlags distill;
  std::optional<std::string> json_file;

  void add_to(CLI::App& app) {
    app.add_option("model_dir", model_dir, "a Hugging Face folder; config.json is enough")
        ->required()
        ->option_text("MODEL_DIR");
    const char* request = "Request";
    app.add_option("--prompt-tokens", prompt_tokens, "plan prompts of so many tokens")
        ->check(ex::at_least(1))
        ->group(request);
    app.add_option("--batch", batch, "prompts at once")
        ->check(ex::at_least(1))
        ->capture_default_str()
        ->group(request);
    app.add_option("--max-new-tokens", max_new_tokens,
                   "cache rows to reserve for the answer, as promptdistill-generate does")
        ->check(ex::at_least(1))
        ->capture_default_str()
        ->group(request);
    app.add_option(
           "--dtype", dtype,
           "auto: the weights', else the one config.json names; a machine that is slow in it "
           "runs float32")
        ->check(CLI::IsMember({"auto", "float32", "bfloat16", "float16"}))
        ->capture_default_str()
        ->group(request);
    distill.add_to(app);
    const char* rivals = "Rivals";
    app.add_option("--budget", budget,
                   "tokens that GemFilter and SnapKV keep (default: the last stage's budget)")
        ->check(ex::at_least(1))
        ->group(rivals);
    app.add_option("--gem-layer", gem_layer,
                   "the layer that GemFilter selects at (default: the last stage's)")
        ->check(ex::at_least(0))
        ->group(rivals);
    app.add_option("--json", json_file,
                   "write all of it as JSON; - writes it to standard output instead of the text")
        ->group("Output");
  }

  void check() const {
    if (json_file && json_file != "-") ex::check_writable(*json_file);
    const bool plans = distill.stages || distill.truncate || distill.scorer || distill.window ||
                       distill.skip_last || distill.heads || distill.pool ||
                       distill.protect_first || distill.protect_last || budget || gem_layer ||
                       batch != 1;
    if (plans && !prompt_tokens)
      throw ex::UsageError("these options plan a request: give --prompt-tokens with them");
  }
};

struct Method {
  std::string name, kept;
  pd::Plan plan;
};

json to_json(const pd::Flops& flops) {
  return {
      {"projections", flops.projections}, {"attention", flops.attention}, {"mlp", flops.mlp},
      {"selection", flops.selection},     {"lm_head", flops.lm_head},     {"total", flops.total()}};
}

json to_json(const Method& method, const pd::Plan& full) {
  json layers = json::array();
  for (const pd::LayerPlan& layer : method.plan.layers) {
    layers.push_back({{"tokens", layer.tokens},
                      {"kept", layer.kept},
                      {"cache_rows", layer.cache_rows},
                      {"cache_bytes", layer.cache_bytes},
                      {"peak_bytes", layer.peak_bytes}});
  }
  return {{"method", method.name},
          {"kept_per_stage", method.kept},
          {"speed_up", pd::speed_up(method.plan, full)},
          {"cache_bytes", method.plan.cache_bytes},
          {"peak_bytes", method.plan.peak_bytes},
          {"prefill_flops", to_json(method.plan.prefill)},
          {"decode_step_flops", to_json(method.plan.decode_step)},
          {"decode_read_bytes", method.plan.decode_read_bytes},
          {"layers", std::move(layers)}};
}

/// Layers that are alike share a line.
std::string layer_table(const pd::Plan& plan) {
  ex::Table table({"layers", "tokens in", "go on", "cache rows", "cache of each", "peak in them"});
  std::int64_t largest = 0;
  for (const pd::LayerPlan& layer : plan.layers) largest = std::max(largest, layer.cache_bytes);
  for (std::size_t first = 0, end = 0; first < plan.layers.size(); first = end) {
    const pd::LayerPlan& layer = plan.layers[first];
    std::int64_t peak = 0;
    for (end = first; end < plan.layers.size(); ++end) {
      const pd::LayerPlan& next = plan.layers[end];
      if (next.tokens != layer.tokens || next.kept != layer.kept ||
          next.cache_bytes != layer.cache_bytes)
        break;
      peak = std::max(peak, next.peak_bytes);
    }
    table.add({end == first + 1 ? std::to_string(first) : fmt::format("{} to {}", first, end - 1),
               ex::grouped(layer.tokens), ex::grouped(layer.kept), ex::grouped(layer.cache_rows),
               ex::bytes_text(layer.cache_bytes, largest), ex::bytes_text(peak, plan.peak_bytes)});
  }
  return table.text();
}

/// What GemFilter and SnapKV keep, and where: what a flag or the last stage says.
struct Rivals {
  std::optional<std::int64_t> budget, layer;
};

std::string method_table(const std::vector<Method>& methods) {
  double flops = 0;
  std::int64_t cache = 0, peak = 0, read = 0;
  for (const Method& method : methods) {
    flops = std::max(flops, method.plan.prefill.total());
    cache = std::max(cache, method.plan.cache_bytes);
    peak = std::max(peak, method.plan.peak_bytes);
    read = std::max(read, method.plan.decode_read_bytes);
  }
  ex::Table table(
      {"method", "kept per stage", "prefill", "speed-up", "cache", "peak", "decode reads"});
  for (const Method& method : methods) {
    const pd::Plan& plan = method.plan;
    table.add({method.name, method.kept, ex::flops_text(plan.prefill.total(), flops),
               fmt::format("{:.2f}x", pd::speed_up(plan, methods[0].plan)),
               ex::bytes_text(plan.cache_bytes, cache), ex::bytes_text(plan.peak_bytes, peak),
               ex::bytes_text(plan.decode_read_bytes, read)});
  }
  return table.text();
}

struct Planned {
  std::vector<Method> methods;  // full attention first
  Rivals rivals;
};

/// Full attention, the stages asked for, and the rivals where a budget is known.
Planned plan_methods(const pd::ModelConfig& config,
                     const pd::PlanRequest& request,
                     const pd::DistillOptions& options,
                     Rivals rivals) {
  std::vector<Method> methods{{"full attention", "all", pd::plan_prefill(config, request)}};
  if (!options.stages.empty()) {
    Method method{"PromptDistill", "", pd::plan_prefill(config, request, options)};
    const auto at = [&](const pd::Stage& stage) {
      return method.plan.layers[static_cast<std::size_t>(stage.layer)];
    };
    for (const pd::Stage& stage : options.stages)
      method.kept +=
          fmt::format("{}{}:{}", method.kept.empty() ? "" : " ", stage.layer, at(stage).kept);
    const pd::Stage& last = options.stages.back();
    if (!rivals.budget) rivals.budget = pd::stage_budget(options, last, at(last).tokens);
    if (!rivals.layer) rivals.layer = last.layer;
    methods.push_back(std::move(method));
  }
  if (rivals.budget && rivals.layer) {
    methods.push_back(
        {"GemFilter",
         fmt::format("{}:{}", *rivals.layer, std::min(*rivals.budget, request.prompt_tokens)),
         pd::plan_gem_filter(config, request, *rivals.layer, *rivals.budget)});
  }
  if (rivals.budget)
    methods.push_back(
        {"SnapKV", "all", pd::plan_snap_kv(config, request, *rivals.budget, kSnapKvWindow)});
  return {std::move(methods), rivals};
}

/// What the tables do not say by themselves.
std::string notes(const Planned& planned, std::int64_t weight_bytes) {
  std::string text = ex::wrapped(
      "  ", fmt::format("speed-up: of the first token, by FLOPs; cache: after prefill, room "
                        "included; peak: above the weights' {}; decode reads: weights and cache "
                        "rows that one step reads.",
                        ex::bytes_text(weight_bytes)));
  const auto& [budget, layer] = planned.rivals;
  if (!budget)
    return text + ex::wrapped("  ", "--stages LAYER:TOKENS, such as 14:512, compares distilling.");
  if (layer)
    text += ex::wrapped("  ", fmt::format("GemFilter: layers 0 to {} read the prompt, the {} "
                                          "tokens chosen there are read again from the start.",
                                          *layer, ex::grouped(*budget)));
  return text + ex::wrapped("  ", fmt::format("SnapKV: the full prefill, then each layer's cache "
                                              "cut to {} + {} rows per KV head.",
                                              ex::grouped(*budget), kSnapKvWindow));
}

std::string settings_text(const ex::DistillSettings& settings) {
  const pd::DistillOptions& options = settings.options;
  if (options.stages.empty()) return "";
  std::string text = "Stages " + pd::to_string(options.stages);
  if (options.truncated_stages != 0)
    text += options.truncated_stages == pd::kTruncateAll
                ? ", all cut the caches"
                : fmt::format(", {} cut the caches", options.truncated_stages);
  text += pd::has_window(options.scorer)
              ? fmt::format("; scored by the last {} queries{}", options.window,
                            options.scorer == pd::ScorerKind::kRawWindow ? "' raw logits" : "")
              : "; scored by the last query";
  if (options.skip_last > 0) text += fmt::format(" before the last {} tokens", options.skip_last);
  if (options.protect_first > 0)
    text += fmt::format("; the first {} tokens protected", options.protect_first);
  if (options.protect_last > 0)
    text += fmt::format("; the last {} tokens protected", options.protect_last);
  if (settings.placement == pd::Placement::kAfter) text += "; selected after the layer";
  if (settings.profile != "none") text += "; from " + settings.profile;
  return ex::wrapped("  ", text + ".");
}

void run(const Flags& flags) {
  flags.check();
  const pd::ModelConfig config = pd::ModelConfig::load(flags.model_dir);
  const ex::ModelDescription description = ex::describe(flags.model_dir, config);
  std::string text = ex::folder_name(flags.model_dir) + "\n" + description.text();
  json out{{"model_dir", flags.model_dir.string()},
           {"model", description.data},
           {"version", pd::kVersion}};
  if (flags.prompt_tokens) {
    const ex::DistillSettings settings = flags.distill.resolve(flags.model_dir);
    const std::int64_t tokens = *flags.prompt_tokens, left = config.context() - tokens;
    pd::PlanRequest request;
    request.prompt_tokens = tokens;
    request.batch = flags.batch;
    // A prompt beyond the context is planned as if there were none.
    request.room = left >= 0 ? std::min(flags.max_new_tokens, left) : flags.max_new_tokens;
    request.dtype = ex::dtype_of(flags.dtype).value_or(description.dtype);
    request.placement = settings.placement;
    const Planned planned =
        plan_methods(config, request, settings.options, {flags.budget, flags.gem_layer});
    const std::int64_t weights = (pd::ModelSizes(config).parameters *
                                  static_cast<std::int64_t>(at::elementSize(request.dtype)))
                                     .value();
    text +=
        '\n' + ex::wrapped("", fmt::format("Plan: {} of {} tokens, room for {} more, {}",
                                           flags.batch == 1 ? "a prompt"
                                                            : ex::grouped(flags.batch) + " prompts",
                                           ex::grouped(tokens), ex::grouped(request.room),
                                           ex::dtype_name(request.dtype)));
    text += settings_text(settings);
    if (left < 0)
      text +=
          ex::wrapped("  ", fmt::format("Note: beyond the context of {} tokens; the model would "
                                        "refuse to run it.",
                                        ex::grouped(config.context())));
    const Method& shown = planned.methods[settings.options.stages.empty() ? 0 : 1];
    text += fmt::format("\n{}{}\n{}, layer by layer:\n\n{}", method_table(planned.methods),
                        notes(planned, weights), shown.name, layer_table(shown.plan));

    json& all = out["request"] = ex::to_json(settings.options);
    all["prompt_tokens"] = tokens;
    all["batch"] = flags.batch;
    all["room"] = request.room;
    all["dtype"] = ex::dtype_name(request.dtype);
    all["placement"] = pd::to_string(settings.placement);
    all["profile"] = settings.profile;
    all["beyond_context"] = left < 0;
    all["weight_bytes"] = weights;
    const auto& [budget, layer] = planned.rivals;
    all["rivals"] = {{"budget", budget ? json(*budget) : json()},
                     {"gem_layer", layer ? json(*layer) : json()},
                     {"snapkv_window", kSnapKvWindow}};
    out["plans"] = json::array();
    for (const Method& method : planned.methods)
      out["plans"].push_back(to_json(method, planned.methods[0].plan));
  }
  const bool prints_text = flags.json_file != "-";
  if (prints_text) fmt::print("{}", text);
  if (flags.json_file) ex::write_output(*flags.json_file, out.dump(2) + "\n");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Shows what a model folder holds and what a request to it would take: cache, peak memory, "
      "FLOPs and speed-up, on paper.",
      "promptdistill-inspect");
  app.footer(kFooter);
  Flags flags;
  flags.add_to(app);
  return ex::run_program(app, argc, argv, [&] { run(flags); });
}
