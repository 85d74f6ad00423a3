// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// config.json of every family: biases, windows, RoPE's kinds, and what is refused.

#include <ATen/ATen.h>  // before Catch2: its CHECK is the one to have

#include <cmath>

#include "promptdistill/model/model_config.hpp"
#include "promptdistill/model/rope.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"

namespace promptdistill::test {
namespace {

using Json = nlohmann::json;
using Type = RopeConfig::Type;

Json of(const std::string& model_type, const Json& more = Json::object()) {
  Json json = Json::parse(R"({"hidden_size":64,"intermediate_size":64,"num_hidden_layers":4,
    "num_attention_heads":8,"vocab_size":96,"max_position_embeddings":4096})");
  json["model_type"] = model_type;
  json.update(more);
  return json;
}

ModelConfig parse(const Json& json) { return ModelConfig::parse(JsonObject("config.json", json)); }

std::string refusal(const Json& json) {
  const std::string text = message_of<LoadError>([&] { parse(json); });
  const std::string start = "promptdistill: config.json: key ";
  return text.starts_with(start) ? text.substr(start.size()) : text;
}

std::string rope_refusal(const Json& scaling, const std::string& model_type = "llama") {
  return refusal(of(model_type, {{"rope_scaling", scaling}}));
}

RopeConfig rope_of(const Json& scaling, const Json& more = Json::object()) {
  Json json = of("llama", more);
  json["rope_scaling"] = scaling;
  return parse(json).rope;
}

TEST_CASE("families differ by their biases, norms and fused projections", "[model]") {
  const auto flags = [](const ModelConfig& c) {
    return std::vector<bool>{c.qkv_bias, c.o_bias, c.mlp_bias, c.qk_norm, c.fused_projections};
  };
  using Flags = std::vector<bool>;
  const Json biased = {{"attention_bias", true}, {"mlp_bias", true}};
  CHECK(flags(parse(of("llama"))) == Flags{false, false, false, false, false});
  CHECK(flags(parse(of("llama", biased))) == Flags{true, true, true, false, false});
  CHECK(flags(parse(of("mistral", biased))) == Flags{false, false, false, false, false});
  CHECK(flags(parse(of("phi3"))) == Flags{false, false, false, false, true});
  CHECK(flags(parse(of("qwen2"))) == Flags{true, false, false, false, false});
  CHECK(flags(parse(of("qwen3"))) == Flags{false, false, false, true, false});
  CHECK(flags(parse(of("qwen3", biased))) == Flags{true, true, false, true, false});
  CHECK(parse(of("phi3")).rms_norm_eps == 1e-5);
  CHECK(parse(of("qwen2")).rms_norm_eps == 1e-6);
}

using Windows = std::vector<std::int64_t>;  // 0: everything

Windows windows(const Json& json) {
  const ModelConfig config = parse(json);
  Windows out;
  for (std::int64_t l = 0; l < config.num_hidden_layers; ++l)
    out.push_back(config.window_of(l).value_or(0));
  return out;
}

TEST_CASE("sliding windows are those of transformers, layer by layer", "[model]") {
  const Windows none(4, 0);
  CHECK(windows(of("llama", {{"sliding_window", 7}})) == none);
  CHECK(windows(of("mistral", {{"sliding_window", 7}})) == Windows(4, 7));
  CHECK(windows(of("mistral", {{"sliding_window", nullptr}})) == none);
  CHECK(windows(of("mistral")) == Windows(4, 4096));
  CHECK(windows(of("phi3")) == none);
  CHECK(windows(of("phi3", {{"sliding_window", 2047}})) == Windows(4, 2047));
  const Json upper = {
      {"use_sliding_window", true}, {"sliding_window", 9}, {"max_window_layers", 3}};
  for (const char* qwen : {"qwen2", "qwen3"}) {
    CHECK(windows(of(qwen, upper)) == Windows{0, 0, 0, 9});
    CHECK(windows(of(qwen, {{"sliding_window", 9}, {"max_window_layers", 0}})) == none);
    CHECK(windows(of(qwen, {{"use_sliding_window", true}})) == none);  // Qwen's default is 28
  }
  Json listed = of("qwen2", upper);
  listed["layer_types"] = {"sliding_attention", "full_attention", "full_attention",
                           "sliding_attention"};
  CHECK(windows(listed) == Windows{9, 0, 0, 9});
  listed["layer_types"] = {"full_attention"};
  CHECK(refusal(listed) == "layer_types must name the attention of each of the 4 layers");
  listed["layer_types"] = {"full_attention", 1, "chunked_attention", "full_attention"};
  CHECK(refusal(listed) == "layer_types must hold full_attention or sliding_attention, got 1");
  CHECK(
      refusal(of("mistral", {{"sliding_window", 0}})).starts_with("sliding_window must be in [1"));
  CHECK(refusal(of("mistral", {{"sliding_window", "4"}})) ==
        "sliding_window must be an integer, got \"4\"");
}

TEST_CASE("every kind of RoPE reads its own keys", "[model]") {
  CHECK(rope_of({{"rope_type", "linear"}, {"factor", 2}}).type == Type::kLinear);
  CHECK(rope_of({{"type", "dynamic"}, {"factor", 2}}).original_max_position_embeddings == 4096);
  const RopeConfig yarn = rope_of({{"type", "yarn"}, {"factor", 4.0}});
  CHECK(yarn.type == Type::kYarn);
  CHECK(yarn.original_max_position_embeddings == 4096);
  CHECK(yarn.attention_factor == 0.1 * std::log(4.0) + 1);
  CHECK(rope_of({{"type", "yarn"}, {"factor", 4}, {"attention_factor", 1.5}}).attention_factor ==
        1.5);
  CHECK(rope_of({{"type", "yarn"}, {"factor", 4}, {"mscale", 2}, {"mscale_all_dim", 1}})
            .attention_factor == (0.2 * std::log(4.0) + 1) / (0.1 * std::log(4.0) + 1));

  const Json list = {1, 2.5, 3, 4};
  const Json factors = {{"type", "longrope"}, {"short_factor", list}, {"long_factor", list}};
  const RopeConfig phi = rope_of(factors, {{"original_max_position_embeddings", 1024}});
  CHECK(phi.type == Type::kLongRope);
  CHECK(phi.long_factor == std::vector<double>{1, 2.5, 3, 4});
  CHECK(phi.attention_factor == std::sqrt(1 + std::log(4.0) / std::log(1024.0)));
  for (const char* alias : {"su", "yarn"}) {
    Json older = factors;
    older["type"] = alias;
    CHECK(rope_of(older).type == Type::kLongRope);
  }
  CHECK(rope_of(factors).attention_factor == 1);  // nothing is said to be longer
}

TEST_CASE("the context is what RoPE's scaling makes of it", "[model]") {
  const auto context = [](const Json& scaling) {
    return parse(of("llama", {{"rope_scaling", scaling}})).context();
  };
  CHECK(parse(of("llama")).context() == 4096);
  CHECK(context({{"type", "linear"}, {"factor", 4}}) == 16384);
  CHECK(context({{"type", "dynamic"}, {"factor", 2.5}}) == 10240);
  CHECK(context({{"type", "yarn"}, {"factor", 4}}) == 16384);
  CHECK(context({{"type", "yarn"}, {"factor", 2}, {"original_max_position_embeddings", 2048}}) ==
        4096);
  CHECK(context({{"type", "linear"}, {"factor", 1e300}}) == 1'000'000'000'000'000);
}

TEST_CASE("a part of each head is rotated where the family knows it", "[model]") {
  const Json share = {{"partial_rotary_factor", 0.5}};
  CHECK(parse(of("phi3", share)).rope.rotary_dim == 4);
  CHECK(parse(of("phi3", {{"rope_parameters", share}})).rope.rotary_dim == 4);
  CHECK(parse(of("phi3")).rope.rotary_dim == 8);
  CHECK(parse(of("llama", {{"partial_rotary_factor", 1.0}})).rope.rotary_dim == 8);
  CHECK(refusal(of("llama", share)) ==
        "partial_rotary_factor must be 1 for this model_type, got 0.5");
  for (const double bad : {0.1, 1.5, 0.6 / 8 * 5})
    CHECK(refusal(of("phi3", {{"partial_rotary_factor", bad}}))
              .starts_with("partial_rotary_factor must give an even part of the head size 8"));
}

TEST_CASE("RoPE's numbers are checked", "[model]") {
  CHECK(rope_refusal({{"type", "linear"}}) == "rope_scaling.factor is missing");
  CHECK(rope_refusal({{"type", "linear"}, {"factor", 0}}) ==
        "rope_scaling.factor must be a number above 0, got 0");
  CHECK(rope_refusal({{"type", "dynamic"}, {"factor", 0.5}}) ==
        "rope_scaling.factor must be at least 1, got 0.5");
  CHECK(rope_refusal({{"type", "yarn"}, {"factor", 2}, {"beta_fast", 0.5}}) ==
        "rope_scaling.beta_fast must be at least beta_slow, got 0.5");
  CHECK(rope_refusal({{"type", "yarn"}, {"factor", 2}, {"mscale", -100}, {"mscale_all_dim", 1}}) ==
        "rope_scaling.mscale must give an attention factor above 0, got -100");
  CHECK(rope_refusal({{"full_attention", {{"rope_type", "default"}}}}) ==
        "rope_scaling.full_attention is not supported: all layers must share their rotary "
        "embeddings");
  Json factors = {{"type", "longrope"}, {"short_factor", {1, 2, 3, 4}}};
  CHECK(rope_refusal(factors, "phi3") == "rope_scaling.long_factor is missing");
  for (const Json& bad : {Json({1, 2, 3}), Json({1, 2, 3, 0}), Json({1, 2, 3, "4"}), Json(4),
                          Json({1, 2, 3, 4, 5})}) {
    factors["long_factor"] = bad;
    CHECK(rope_refusal(factors, "phi3")
              .starts_with("rope_scaling.long_factor must be a list of 4 numbers above 0, one per "
                           "rotated pair, got "));
  }
}

TEST_CASE("what a request may reach follows what was chosen for it", "[model]") {
  const auto rope = [](const Json& scaling, const Json& more = Json::object()) {
    Json json = of("llama", more);
    if (!scaling.is_null()) json["rope_scaling"] = scaling;
    return Rope(parse(json), at::kCPU);
  };
  const Json list = {1, 2, 3, 4};
  const Rope longrope = rope({{"type", "longrope"}, {"short_factor", list}, {"long_factor", list}},
                             {{"original_max_position_embeddings", 100}});
  CHECK(longrope.reach(50) == 100);
  CHECK(longrope.reach(100) == 100);
  CHECK(longrope.reach(101) > 1'000'000);
  const Rope dynamic = rope({{"type", "dynamic"}, {"factor", 2}});
  CHECK(dynamic.reach(50) == 4096);
  CHECK(dynamic.reach(5000) == 5000);
  CHECK(rope(nullptr).reach(1) > 1'000'000);
}

}  // namespace
}  // namespace promptdistill::test
