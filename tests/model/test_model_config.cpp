// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// config.json and generation_config.json: defaults, both spellings of RoPE, and every refusal by
// key and value.

#include <ATen/ATen.h>  // before Catch2: its CHECK is the one to have

#include "promptdistill/model/model_config.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"

namespace promptdistill::test {
namespace {

using Json = nlohmann::json;

Json llama() {
  return Json::parse(R"({"model_type":"llama","hidden_size":48,"intermediate_size":64,
    "num_hidden_layers":5,"num_attention_heads":6,"vocab_size":96,"max_position_embeddings":512})");
}

Json llama3_rope() {
  return Json::parse(R"({"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,
    "high_freq_factor":4,"original_max_position_embeddings":64})");
}

Json with(Json json, const std::string& key, const Json& value) {
  json[key] = value;
  return json;
}

ModelConfig parse(const Json& json) { return ModelConfig::parse(JsonObject("config.json", json)); }

std::string refusal(const Json& json) {
  const std::string text = message_of<LoadError>([&] { parse(json); });
  const std::string start = "promptdistill: config.json: ";
  return text.starts_with(start) ? text.substr(start.size()) : text;
}

TEST_CASE("a config of the required keys alone has the defaults of Hugging Face", "[model]") {
  const ModelConfig config = parse(llama());
  CHECK(config.hidden_size == 48);
  CHECK(config.intermediate_size == 64);
  CHECK(config.num_hidden_layers == 5);
  CHECK(config.num_attention_heads == 6);
  CHECK(config.num_key_value_heads == 6);
  CHECK(config.head_dim == 8);
  CHECK(config.vocab_size == 96);
  CHECK(config.max_position_embeddings == 512);
  CHECK(config.rms_norm_eps == 1e-6);
  CHECK(!config.tie_word_embeddings);
  CHECK(!config.qkv_bias);
  CHECK(!config.o_bias);
  CHECK(!config.mlp_bias);
  CHECK(config.rope.type == RopeConfig::Type::kDefault);
  CHECK(config.rope.theta == 10000.0);
}

TEST_CASE("what is given is taken", "[model]") {
  Json json = llama();
  json.update(Json::parse(R"({"num_key_value_heads":2,"head_dim":16,"rms_norm_eps":1e-5,
    "tie_word_embeddings":true,"attention_bias":true,"mlp_bias":true,"rope_theta":500,
    "hidden_act":"silu","quantization_config":null,"torch_dtype":"bfloat16"})"));
  const ModelConfig config = parse(json);
  CHECK(config.num_key_value_heads == 2);
  CHECK(config.head_dim == 16);
  CHECK(config.rms_norm_eps == 1e-5);
  CHECK(config.tie_word_embeddings);
  CHECK(config.qkv_bias);
  CHECK(config.o_bias);
  CHECK(config.mlp_bias);
  CHECK(config.rope.theta == 500.0);
  CHECK(parse(with(json, "head_dim", nullptr)).head_dim == 8);
  CHECK(parse(with(json, "num_key_value_heads", nullptr)).num_key_value_heads == 6);
}

TEST_CASE("a required key that is missing is named", "[model]") {
  for (const char* key : {"model_type", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "vocab_size", "max_position_embeddings"}) {
    Json json = llama();
    json.erase(key);
    CHECK(refusal(json) == "key " + std::string(key) + " is missing");
    CHECK(refusal(with(json, key, nullptr)) == "key " + std::string(key) + " is missing");
  }
}

TEST_CASE("a value of the wrong type is named and shown", "[model]") {
  for (const char* key :
       {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings"}) {
    const std::string start = "key " + std::string(key) + " must be an integer, got ";
    CHECK(refusal(with(llama(), key, "8")) == start + "\"8\"");
    CHECK(refusal(with(llama(), key, 8.0)) == start + "8.0");
    CHECK(refusal(with(llama(), key, Json::array({8}))) == start + "[8]");
  }
  for (const char* key : {"tie_word_embeddings", "attention_bias", "mlp_bias"})
    CHECK(refusal(with(llama(), key, 1)) ==
          "key " + std::string(key) + " must be true or false, got 1");
  CHECK(refusal(with(llama(), "model_type", 3)) == "key model_type must be a string, got 3");
  CHECK(refusal(with(llama(), "hidden_act", true)) == "key hidden_act must be a string, got true");
  CHECK(refusal(with(llama(), "rms_norm_eps", "1e-5")) ==
        "key rms_norm_eps must be a number, got \"1e-5\"");
  CHECK(refusal(with(llama(), "rope_theta", "1")) == "key rope_theta must be a number, got \"1\"");
  CHECK(refusal(with(llama(), "rope_scaling", 2)) == "key rope_scaling must be a JSON object");
}

TEST_CASE("a number out of range is named and shown", "[model]") {
  for (const char* key :
       {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings"}) {
    for (const std::int64_t bad : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 40}) {
      const std::string text = refusal(with(llama(), key, bad));
      INFO(text);
      CHECK(text.starts_with("key " + std::string(key) + " must be in ["));
      CHECK(text.ends_with("], got " + std::to_string(bad)));
    }
  }
  CHECK(refusal(with(llama(), "num_key_value_heads", 7)) ==
        "key num_key_value_heads must be in [1, 6], got 7");
  CHECK(refusal(with(llama(), "num_key_value_heads", 4)) ==
        "key num_key_value_heads must divide the 6 attention heads, got 4");
  CHECK(refusal(with(llama(), "head_dim", 7)) ==
        "key head_dim must be even for rotary embeddings, got 7");
  CHECK(refusal(with(llama(), "hidden_size", 54)) ==
        "key head_dim must be even for rotary embeddings, got 9");
  CHECK(refusal(with(llama(), "rms_norm_eps", -1e-5)) ==
        "key rms_norm_eps must be in [0, 1), got -1e-05");
  CHECK(refusal(with(llama(), "rms_norm_eps", 1)) == "key rms_norm_eps must be in [0, 1), got 1");
  CHECK(refusal(with(llama(), "rope_theta", 0)) ==
        "key rope_theta must be a number above 0, got 0");
}

TEST_CASE("what is not supported is refused with what is", "[model]") {
  CHECK(refusal(with(llama(), "model_type", "gpt2")) ==
        "key model_type has the value \"gpt2\", which is not supported; supported: "
        "llama, mistral, phi3, qwen2, qwen3");
  CHECK(refusal(with(llama(), "hidden_act", "gelu")) ==
        "key hidden_act has the value \"gelu\", which is not supported; supported: silu");
  CHECK(contains(refusal(with(llama(), "quantization_config", {{"bits", 4}})),
                 "key quantization_config names quantised weights, which are not supported"));
  CHECK(contains(refusal(with(llama(), "compression_config", {{"bits", 4}})),
                 "key compression_config names quantised weights, which are not supported"));
  for (const char* type : {"mrope", "ntk", ""}) {
    const Json scaling = {{"rope_type", type}, {"factor", 2.0}};
    const std::string rest =
        " must be a supported one: default, linear, dynamic, yarn, longrope, llama3, got \"" +
        std::string(type) + "\"";
    CHECK(refusal(with(llama(), "rope_scaling", scaling)) == "key rope_scaling.rope_type" + rest);
    CHECK(refusal(with(llama(), "rope_parameters", scaling)) ==
          "key rope_parameters.rope_type" + rest);
    CHECK(refusal(with(llama(), "rope_scaling", {{"type", type}})) ==
          "key rope_scaling.type" + rest);
  }
}

void check_llama3(const RopeConfig& rope, double theta) {
  CHECK(rope.type == RopeConfig::Type::kLlama3);
  CHECK(rope.theta == theta);
  CHECK(rope.factor == 8.0);
  CHECK(rope.low_freq_factor == 1.0);
  CHECK(rope.high_freq_factor == 4.0);
  CHECK(rope.original_max_position_embeddings == 64);
}

TEST_CASE("RoPE reads the same from either generation of transformers", "[model]") {
  Json old = with(with(llama(), "rope_theta", 500.0), "rope_scaling", llama3_rope());
  check_llama3(parse(old).rope, 500);
  check_llama3(parse(with(old, "rope_parameters", nullptr)).rope, 500);

  const Json inside = with(llama3_rope(), "rope_theta", 500.0);
  check_llama3(parse(with(llama(), "rope_parameters", inside)).rope, 500);
  // Where rope_parameters has no theta, transformers 5 takes the one beside it.
  check_llama3(
      parse(with(with(llama(), "rope_theta", 500.0), "rope_parameters", llama3_rope())).rope, 500);
  check_llama3(parse(with(llama(), "rope_parameters", llama3_rope())).rope, 10000);

  const Json plain = {{"rope_type", "default"}, {"rope_theta", 7.0}};
  CHECK(parse(with(llama(), "rope_parameters", plain)).rope.theta == 7.0);
  CHECK(parse(with(llama(), "rope_parameters", plain)).rope.type == RopeConfig::Type::kDefault);
  CHECK(refusal(with(llama(), "rope_parameters", {{"rope_theta", -7.0}})) ==
        "key rope_parameters.rope_theta must be a number above 0, got -7.0");
}

TEST_CASE("llama3's parameters are all checked", "[model]") {
  for (const char* key : {"factor", "low_freq_factor", "high_freq_factor"}) {
    const std::string name = "key rope_scaling." + std::string(key);
    Json scaling = llama3_rope();
    CHECK(refusal(with(llama(), "rope_scaling", with(scaling, key, -1))) ==
          name + " must be a number above 0, got -1");
    CHECK(refusal(with(llama(), "rope_scaling", with(scaling, key, "1"))) ==
          name + " must be a number, got \"1\"");
    scaling.erase(key);
    CHECK(refusal(with(llama(), "rope_scaling", scaling)) == name + " is missing");
  }
  CHECK(refusal(with(llama(), "rope_scaling", with(llama3_rope(), "high_freq_factor", 1.0))) ==
        "key rope_scaling.high_freq_factor must be above low_freq_factor, got 1.0");
  const char* original = "original_max_position_embeddings";
  CHECK(refusal(with(llama(), "rope_scaling", with(llama3_rope(), original, 0))) ==
        "key rope_scaling.original_max_position_embeddings must be in [1, 16777216], got 0");
  Json scaling = llama3_rope();
  scaling.erase(original);
  CHECK(parse(with(llama(), "rope_scaling", scaling)).rope.original_max_position_embeddings == 512);
}

TEST_CASE("the ids that end an answer", "[model]") {
  const TempDir dir;
  using Set = std::set<std::int64_t>;
  dir.write("config.json", R"({"eos_token_id":7})");
  CHECK(load_stop_ids(dir.path()) == Set{7});
  dir.write("generation_config.json", R"({"eos_token_id":[2,3,2]})");
  CHECK(load_stop_ids(dir.path()) == Set{2, 3});
  dir.write("generation_config.json", R"({"eos_token_id":0})");
  CHECK(load_stop_ids(dir.path()) == Set{0});
  dir.write("generation_config.json", R"({"eos_token_id":[]})");
  CHECK(load_stop_ids(dir.path()).empty());
  for (const char* silent : {R"({"eos_token_id":null})", "{}"}) {
    dir.write("generation_config.json", silent);
    CHECK(load_stop_ids(dir.path()) == Set{7});
  }
  dir.write("config.json", "{}");
  CHECK(load_stop_ids(dir.path()).empty());
  for (const char* bad : {"-1", "1.0", "\"2\"", "[2,null]", "[[2]]", "{}", "true", "99999999999"}) {
    dir.write("generation_config.json", "{\"eos_token_id\":" + std::string(bad) + "}");
    CHECK(message_of<LoadError>([&] { load_stop_ids(dir.path()); }) ==
          "promptdistill: " + (dir / "generation_config.json").string() +
              ": key eos_token_id must be a token id or a list of them, got " + bad);
  }
}

TEST_CASE("a folder without a config says so", "[model]") {
  const TempDir dir;
  CHECK(message_of<LoadError>([&] { ModelConfig::load(dir.path()); }) ==
        "promptdistill: " + (dir / "config.json").string() + ": the file cannot be opened");
  CHECK(message_of<LoadError>([&] { load_stop_ids(dir.path()); }) != "nothing was thrown");
  dir.write("config.json", llama().dump());
  CHECK(ModelConfig::load(dir.path()).hidden_size == 48);
}

}  // namespace
}  // namespace promptdistill::test
