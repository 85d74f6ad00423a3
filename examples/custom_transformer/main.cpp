// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// custom_transformer: runs the decoder of decoder.hpp on a LLaMA checkpoint (default RoPE),
// distilled by its five added lines.

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "examples/common/ids.hpp"
#include "examples/common/program.hpp"
#include "examples/custom_transformer/decoder.hpp"
#include "promptdistill/io/safetensors.hpp"
#include "promptdistill/model/model_config.hpp"
#include "promptdistill/options.hpp"

namespace {

namespace pd = promptdistill;

custom::Config read_config(const std::filesystem::path& folder) {
  const pd::ModelConfig c = pd::ModelConfig::load(folder);
  if (c.model_type != "llama" || c.rope.type != pd::RopeConfig::Type::kDefault)
    throw std::runtime_error("this example knows model_type llama with the default RoPE only");
  return {c.vocab_size,
          c.hidden_size,
          c.intermediate_size,
          c.num_hidden_layers,
          c.num_attention_heads,
          c.num_key_value_heads,
          c.head_dim,
          c.rope.theta,
          c.rms_norm_eps,
          c.qkv_bias,
          c.mlp_bias};
}

/// Copies a Hugging Face checkpoint into the decoder's own names.
void load(custom::Decoder& decoder, const std::filesystem::path& folder) {
  const pd::SafetensorsFile file = pd::SafetensorsFile::open(folder / "model.safetensors");
  const std::map<std::string, std::string> parts{
      {"input_norm", "input_layernorm"}, {"query", "self_attn.q_proj"},
      {"key", "self_attn.k_proj"},       {"value", "self_attn.v_proj"},
      {"output", "self_attn.o_proj"},    {"inner_norm", "post_attention_layernorm"},
      {"gate", "mlp.gate_proj"},         {"up", "mlp.up_proj"},
      {"down", "mlp.down_proj"}};
  for (auto& parameter : decoder.named_parameters()) {
    std::string name = parameter.key();  // layers.3.query.weight
    if (name.starts_with("layers.")) {
      const std::size_t part = name.find('.', 7) + 1, kind = name.rfind('.');
      name = "model." + name.substr(0, part) + parts.at(name.substr(part, kind - part)) +
             name.substr(kind);
    } else if (name == "head.weight") {
      name = file.contains("lm_head.weight") ? "lm_head.weight" : "model.embed_tokens.weight";
    } else {
      name = name == "embedding.weight" ? "model.embed_tokens.weight" : "model.norm.weight";
    }
    parameter.value().copy_(file.tensor(name));
  }
}

/// Notes which positions each stage keeps, on top of the policy it wraps: a policy of one's own is
/// a few lines.
struct Recording {
  const pd::AnyDistiller& policy;
  nlohmann::json& stages;

  void check(std::int64_t layers, std::int64_t heads) const { policy.check(layers, heads); }
  bool selects_at(std::int64_t layer) const { return policy.selects_at(layer); }
  bool truncates_at(std::int64_t layer) const { return policy.truncates_at(layer); }
  std::int64_t window(std::int64_t layer) const { return policy.window(layer); }
  pd::Selection select(const pd::LayerProbe& probe) const {
    pd::Selection selection = policy.select(probe);
    const at::Tensor kept = selection.indices.defined()
                                ? probe.positions.index_select(0, selection.indices)
                                : probe.positions.contiguous();
    const auto* data = kept.const_data_ptr<std::int64_t>();
    stages.push_back({{"layer", probe.layer},
                      {"kept_positions", std::vector<std::int64_t>(data, data + kept.numel())}});
    return selection;
  }
};
static_assert(pd::DistillPolicy<Recording>);

struct Flags {
  std::filesystem::path model_dir;
  std::string ids_file, stages, truncate = "none";
  std::int64_t max_new_tokens = 6;
};

void run(const Flags& flags) {
  const c10::InferenceMode guard;
  std::ifstream in(flags.ids_file, std::ios::binary);
  if (!in) throw std::runtime_error("cannot open " + flags.ids_file);
  const auto prompt =
      pd::examples::parse_ids({std::istreambuf_iterator<char>(in), {}}, flags.ids_file);
  if (prompt.empty()) throw std::runtime_error("the prompt must have at least one token");

  pd::DistillOptions options;
  options.stages = pd::parse_stages(flags.stages);
  options.truncated_stages = pd::parse_truncate(flags.truncate);
  const pd::AnyDistiller distiller = pd::make_distiller(options);

  custom::Decoder decoder(read_config(flags.model_dir));
  load(decoder, flags.model_dir);
  distiller.check(decoder.config.layers, decoder.config.heads);

  nlohmann::json stages = nlohmann::json::array(), tokens = nlohmann::json::array(),
                 rows = nlohmann::json::array();
  std::vector<custom::Cache> caches;
  const auto length = static_cast<std::int64_t>(prompt.size());
  const auto start = std::chrono::steady_clock::now();
  at::Tensor logits = decoder.forward(at::tensor(prompt, at::kLong).unsqueeze(0),
                                      at::arange(length, at::kLong).unsqueeze(0), caches,
                                      Recording{distiller, stages});
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (const custom::Cache& cache : caches) rows.push_back(cache.keys.size(2));
  for (std::int64_t step = 0;; ++step) {
    const at::Tensor next = logits.argmax(-1, true);
    tokens.push_back(next.item<std::int64_t>());
    if (step + 1 == flags.max_new_tokens) break;
    // The next token stands where it would stand had nothing been dropped.
    logits = decoder.forward(next, at::full({1, 1}, length + step, at::kLong), caches);
  }
  const nlohmann::json out{
      {"stages", stages}, {"cache_rows", rows}, {"tokens", tokens}, {"prefill_seconds", seconds}};
  fmt::print("{}\n", out.dump());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "A LibTorch decoder of one's own, made cheap by five lines. Prints kept positions, cache "
      "rows and greedy tokens as JSON.",
      "custom_transformer");
  app.footer(
      "Example:\n  custom_transformer MODEL_DIR --ids-file ids.json --stages 14:512 --truncate "
      "all");
  Flags flags;
  app.add_option("model_dir", flags.model_dir, "a folder with config.json and model.safetensors")
      ->required()
      ->option_text("MODEL_DIR");
  app.add_option("--ids-file", flags.ids_file, "the prompt, a JSON array of token ids")->required();
  app.add_option("--stages", flags.stages,
                 "LAYER:COUNT or LAYER:SHARE%, ... (default: full attention)");
  app.add_option("--truncate", flags.truncate,
                 "how many stages also cut the caches: none, all or N")
      ->capture_default_str();
  app.add_option("--max-new-tokens", flags.max_new_tokens, "")
      ->check(pd::examples::at_least(1))
      ->capture_default_str();
  return pd::examples::run_program(app, argc, argv, [&] { run(flags); });
}
