// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Loading a folder: every tensor is asked for and accounted for, and stays where it is mapped.

#include <fstream>

#include "promptdistill/model/checkpoint.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"
#include "tests/io/tiny_lm.hpp"

namespace promptdistill::test {
namespace {

/// A tiny checkpoint as values, to be changed and written.
struct Checkpoint {
  explicit Checkpoint(const std::string& name)
      : config(nlohmann::json::parse(read_bytes(tiny_folder(name) / "config.json"))) {
    const auto file = SafetensorsFile::open(tiny_folder(name) / "model.safetensors");
    for (const auto& [key, entry] : file.entries()) tensors.emplace_back(key, file.tensor(key));
  }

  at::Tensor& at(const std::string& name) {
    for (auto& [key, tensor] : tensors)
      if (key == name) return tensor;
    throw std::runtime_error("no tensor " + name);
  }
  void erase(const std::string& name) {
    std::erase_if(tensors, [&](const auto& pair) { return pair.first == name; });
  }
  void write(const TempDir& dir) const {
    dir.write("config.json", config.dump());
    dir.write("model.safetensors", safetensors(tensors));
  }

  nlohmann::json config;
  NamedTensors tensors;
};

std::string refusal(const Checkpoint& checkpoint) {
  const TempDir dir;
  checkpoint.write(dir);
  const std::string text = message_of<LoadError>([&] { load_causal_lm(dir.path()); });
  const std::string start = "promptdistill: " + (dir / "model.safetensors").string() + ": ";
  return text.starts_with(start) ? text.substr(start.size()) : text;
}

at::Tensor logits_of(const CausalLm& lm) {
  KvCache cache = lm.make_cache();
  return prefill_one(lm, {5, 9, 11, 4}, cache);
}

const char* const kNames[] = {"tiny-untied", "tiny-llama3rope"};

TEST_CASE("a checkpoint written again is the same model", "[model]") {
  for (const char* name : kNames) {
    const TempDir dir;
    Checkpoint(name).write(dir);
    CHECK(at::equal(logits_of(load_causal_lm(dir.path())), logits_of(tiny(name))));
  }
}

TEST_CASE("each tensor that is missing is named", "[model]") {
  for (const char* name : kNames) {
    const Checkpoint whole(name);
    for (const auto& [key, tensor] : whole.tensors) {
      Checkpoint checkpoint = whole;
      checkpoint.erase(key);
      CHECK(refusal(checkpoint) == "tensor " + key + " is missing");
    }
  }
}

TEST_CASE("each tensor of a wrong shape is named with both shapes", "[model]") {
  for (const char* name : kNames) {
    const Checkpoint whole(name);
    for (const auto& [key, tensor] : whole.tensors) {
      Checkpoint checkpoint = whole;
      checkpoint.at(key) = tensor.unsqueeze(-1);
      const std::string text = refusal(checkpoint);
      CHECK(text.starts_with("tensor " + key + " must have shape ["));
      CHECK(text.ends_with(", 1]"));
    }
  }
  Checkpoint checkpoint("tiny-untied");
  checkpoint.at("lm_head.weight") = at::zeros({64, 31});
  CHECK(refusal(checkpoint) == "tensor lm_head.weight must have shape [64, 32], got [64, 31]");
}

TEST_CASE("a tensor that no model of the config has is refused", "[model]") {
  Checkpoint checkpoint("tiny-untied");
  checkpoint.tensors.emplace_back("model.layers.4.mlp.up_proj.weight", at::zeros({24, 32}));
  checkpoint.tensors.emplace_back("z", at::zeros({}));
  CHECK(refusal(checkpoint) ==
        "tensor model.layers.4.mlp.up_proj.weight is not part of a model of this config (2 surplus "
        "tensors)");
  Checkpoint fewer("tiny-untied");
  fewer.config["num_hidden_layers"] = 3;
  CHECK(refusal(fewer).starts_with("tensor model.layers.3."));
  Checkpoint more("tiny-untied");
  more.config["num_hidden_layers"] = 5;
  CHECK(refusal(more) == "tensor model.layers.4.input_layernorm.weight is missing");
  Checkpoint unbiased("tiny-untied");
  unbiased.config["attention_bias"] = false;
  CHECK(contains(refusal(unbiased), "self_attn.k_proj.bias is not part of a model"));
}

TEST_CASE("weights of other dtypes are refused", "[model]") {
  for (const at::ScalarType dtype : {at::kChar, at::kDouble, at::kByte, at::kLong}) {
    Checkpoint checkpoint("tiny-untied");
    checkpoint.at("model.norm.weight") = checkpoint.at("model.norm.weight").to(dtype);
    CHECK(refusal(checkpoint) ==
          std::string("tensor model.norm.weight must be float32, float16 or bfloat16, got ") +
              at::toString(dtype));
  }
  Checkpoint mixed("tiny-untied");
  mixed.at("model.norm.weight") = mixed.at("model.norm.weight").to(at::kBFloat16);
  CHECK(refusal(mixed) ==
        "tensor model.norm.weight must have the dtype of the others, Float, got BFloat16; ask for "
        "one dtype to convert to (--dtype)");
  const TempDir dir;
  mixed.write(dir);
  LoadOptions options;
  options.dtype = at::kFloat;
  CHECK(load_causal_lm(dir.path(), options).model.norm.weight.scalar_type() == at::kFloat);
}

TEST_CASE("progress counts bytes up to all of them, and can stop", "[model]") {
  std::vector<std::size_t> seen;
  LoadOptions options;
  options.dtype = at::kBFloat16;
  std::size_t total = 0;
  options.progress = [&](const LoadProgress& at) {
    seen.push_back(at.bytes);
    total = at.total;
  };
  load_causal_lm(tiny_folder("tiny-untied"), options);
  CHECK(std::is_sorted(seen.begin(), seen.end()));
  CHECK(seen.size() == Checkpoint("tiny-untied").tensors.size());
  CHECK(seen.back() == total);
  CHECK(total > 100'000);
  options.progress = [](const LoadProgress&) { throw std::runtime_error("enough"); };
  CHECK_THROWS_AS(load_causal_lm(tiny_folder("tiny-untied"), options), std::runtime_error);
}

std::int64_t resident_file_kib() {  // pages of mapped files that this process holds
  std::ifstream in("/proc/self/status");
  for (std::string word; in >> word;) {
    std::int64_t kib = 0;
    if (word == "RssFile:" && in >> kib) return kib;
  }
  return -1;
}

TEST_CASE("a conversion does not leave the file's copy in memory", "[model]") {
  Checkpoint large("tiny-untied");
  large.config["vocab_size"] = 500'000;
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight"})
    large.at(name) = at::zeros({500'000, 32});
  const TempDir dir;
  large.write(dir);  // 128 MB
  LoadOptions options;
  options.dtype = at::kBFloat16;
  std::int64_t most = 0;
  options.progress = [&](const LoadProgress&) { most = std::max(most, resident_file_kib()); };
  const std::int64_t before = resident_file_kib();
  REQUIRE(before > 0);
  const CausalLm lm = load_causal_lm(dir.path(), options);
  CHECK(most - before < 20'000);
  CHECK(lm.lm_head.nbytes() == 32'000'000);
}

TEST_CASE("a checkpoint in shards is the same model, and each complaint names its shard",
          "[model]") {
  const Checkpoint whole("tiny-untied");
  const auto write_shards = [&](const TempDir& dir, at::ScalarType dtype_of_second) {
    NamedTensors first, second;
    nlohmann::json map;
    for (const auto& [name, tensor] : whole.tensors) {
      const bool in_first = first.size() < 20;
      (in_first ? first : second).emplace_back(name, tensor);
      map[name] = in_first ? "1.safetensors" : "2.safetensors";
    }
    for (auto& [name, tensor] : second) tensor = tensor.to(dtype_of_second);
    dir.write("config.json", whole.config.dump());
    dir.write("1.safetensors", safetensors(first));
    dir.write("2.safetensors", safetensors(second));
    dir.write("model.safetensors.index.json", nlohmann::json{{"weight_map", map}}.dump());
  };
  const TempDir dir;
  write_shards(dir, at::kFloat);
  // Weights at other addresses may be summed in another order.
  CHECK(apart(logits_of(load_causal_lm(dir.path())), logits_of(tiny("tiny-untied"))) < 1e-6);
  CHECK(fingerprint(dir.path()) == fingerprint(tiny_folder("tiny-untied")));
  write_shards(dir, at::kHalf);
  const std::string text = message_of<LoadError>([&] { load_causal_lm(dir.path()); });
  CHECK(contains(text, "safetensors: tensor "));
  CHECK(contains(text, "must have the dtype of the others"));
}

TEST_CASE("fused projections are views of the mapped file", "[model]") {
  at::set_num_threads(1);
  const CausalLm lm = load_causal_lm(family_folder("phi3"));
  const auto address = [](const at::Tensor& tensor) {
    return static_cast<const char*>(tensor.const_data_ptr());
  };
  for (const DecoderLayer& layer : lm.model.layers) {
    const Attention& a = layer.self_attn;
    CHECK(address(a.k_proj.weight) == address(a.q_proj.weight) + a.q_proj.weight.nbytes());
    CHECK(address(a.v_proj.weight) == address(a.k_proj.weight) + a.k_proj.weight.nbytes());
    const Mlp& m = layer.mlp;
    CHECK(address(m.up_proj.weight) == address(m.gate_proj.weight) + m.gate_proj.weight.nbytes());
  }
}

TEST_CASE("a checkpoint cut short is refused", "[model]") {
  const TempDir dir;
  Checkpoint("tiny-untied").write(dir);
  const std::string whole = read_bytes(dir / "model.safetensors");
  for (const std::size_t size : {whole.size() - 1, whole.size() / 2, std::size_t{100}}) {
    dir.write("model.safetensors", whole.substr(0, size));
    CHECK(contains(message_of<LoadError>([&] { load_causal_lm(dir.path()); }), "is cut short"));
  }
  std::filesystem::remove(dir / "model.safetensors");
  CHECK(contains(message_of<LoadError>([&] { load_causal_lm(dir.path()); }),
                 "model.safetensors: the file cannot be opened"));
}

TEST_CASE("a tied model may repeat its embedding, an untied one needs a head", "[model]") {
  Checkpoint tied("tiny-llama3rope");
  const at::Tensor expected = logits_of(tiny("tiny-llama3rope"));
  const TempDir dir;
  tied.tensors.emplace_back("lm_head.weight", at::full({96, 48}, 7.0f));
  tied.write(dir);
  const CausalLm lm = load_causal_lm(dir.path());
  CHECK(lm.lm_head.is_same(lm.model.embed_tokens));
  CHECK(at::equal(logits_of(lm), expected));

  Checkpoint untied("tiny-llama3rope");
  untied.config["tie_word_embeddings"] = false;
  CHECK(refusal(untied) == "tensor lm_head.weight is missing");
  untied.tensors.emplace_back("lm_head.weight", untied.at("model.embed_tokens.weight").mul(2));
  untied.write(dir);
  CHECK(at::equal(logits_of(load_causal_lm(dir.path())), expected.mul(2)));
}

TEST_CASE("the frequencies that old exports store are ignored, in layers alone", "[model]") {
  Checkpoint checkpoint("tiny-untied");
  checkpoint.tensors.emplace_back("model.layers.0.self_attn.rotary_emb.inv_freq", at::zeros({8}));
  checkpoint.tensors.emplace_back("model.layers.3.self_attn.rotary_emb.inv_freq",
                                  at::zeros({3}, at::kLong));
  CHECK(refusal(checkpoint) == "nothing was thrown");
  checkpoint.tensors.emplace_back("model.rotary_emb.inv_freq", at::zeros({8}));
  CHECK(contains(refusal(checkpoint), "tensor model.rotary_emb.inv_freq is not part of a model"));
}

TEST_CASE("weights are views of the mapping, and of their own one", "[model]") {
  const TempDir dir;
  Checkpoint("tiny-untied").write(dir);
  const CausalLm first = load_causal_lm(dir.path()), second = load_causal_lm(dir.path());
  const auto file = SafetensorsFile::open(dir / "model.safetensors");
  const auto distance = [](const at::Tensor& a, const at::Tensor& b) {
    return static_cast<const std::byte*>(a.const_data_ptr()) -
           static_cast<const std::byte*>(b.const_data_ptr());
  };
  const auto begin = [&](const std::string& name) {
    return static_cast<std::ptrdiff_t>(file.entries().at(name).begin);
  };
  for (const CausalLm* lm : {&first, &second}) {
    const at::Tensor& head = lm->lm_head;
    CHECK(distance(lm->model.embed_tokens, head) ==
          begin("model.embed_tokens.weight") - begin("lm_head.weight"));
    CHECK(distance(lm->model.layers[3].mlp.up_proj.bias, head) ==
          begin("model.layers.3.mlp.up_proj.bias") - begin("lm_head.weight"));
    CHECK(distance(lm->model.norm.weight, head) ==
          begin("model.norm.weight") - begin("lm_head.weight"));
  }
  CHECK(first.lm_head.const_data_ptr() != second.lm_head.const_data_ptr());
  const at::Tensor before = logits_of(second);
  first.lm_head.zero_();
  std::filesystem::remove_all(dir.path());
  CHECK(at::equal(logits_of(second), before));
}

TEST_CASE("a dtype to convert to is taken by every weight", "[model]") {
  const CausalLm plain = tiny("tiny-untied");
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf, at::kFloat}) {
    const CausalLm lm = tiny("tiny-untied", dtype);
    CHECK(lm.dtype() == dtype);
    CHECK(at::equal(lm.lm_head, plain.lm_head.to(dtype)));
    CHECK(at::equal(lm.model.layers[2].self_attn.o_proj.bias,
                    plain.model.layers[2].self_attn.o_proj.bias.to(dtype)));
    CHECK(at::equal(lm.model.norm.weight, plain.model.norm.weight.to(dtype)));
    CHECK(logits_of(lm).scalar_type() == at::kFloat);
    CHECK(apart(logits_of(lm), logits_of(plain)) < 0.05);
  }
  CHECK(message_of<c10::ValueError>([] { tiny("tiny-untied", at::kInt); }) ==
        "promptdistill: the dtype of a model must be float32, float16 or bfloat16, got Int");
}

TEST_CASE("a fingerprint is stable and tells checkpoints apart", "[model]") {
  const auto of = [](const Checkpoint& checkpoint) {
    const TempDir dir;
    checkpoint.write(dir);
    return fingerprint(dir.path());
  };
  const Checkpoint whole("tiny-untied");
  const std::string first = of(whole);
  CHECK(first.size() == 16);
  CHECK(first.find_first_not_of("0123456789abcdef") == std::string::npos);
  CHECK(of(whole) == first);
  Checkpoint reordered = whole;
  std::reverse(reordered.tensors.begin(), reordered.tensors.end());
  CHECK(of(reordered) == first);

  std::set<std::string> seen{first, of(Checkpoint("tiny-llama3rope"))};
  const auto differs = [&](const Checkpoint& checkpoint) {
    CHECK(seen.insert(of(checkpoint)).second);
  };
  for (const auto& [key, tensor] : whole.tensors) {
    Checkpoint byte = whole;
    byte.at(key) = tensor.clone();
    static_cast<char*>(byte.at(key).mutable_data_ptr())[0] ^= 1;
    differs(byte);
  }
  for (const char* key : {"rope_theta", "rms_norm_eps"}) {
    Checkpoint other = whole;
    other.config[key] = 0.5;
    differs(other);
  }
  Checkpoint scaled = whole, noted = whole;
  scaled.config["rope_scaling"] = {{"rope_type", "llama3"},
                                   {"factor", 8.0},
                                   {"low_freq_factor", 1.0},
                                   {"high_freq_factor", 4.0}};
  differs(scaled);
  noted.config["transformers_version"] = "5.0.0";
  noted.config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 10000.0}};
  CHECK(of(noted) == first);  // what changes no result changes no fingerprint
  for (const auto& [key, tensor] : whole.tensors) {
    Checkpoint half = whole;
    half.at(key) = tensor.clone();
    half.at(key).flatten().slice(0, tensor.numel() / 2).neg_();
    differs(half);
    Checkpoint byte = whole;
    byte.at(key) = tensor.clone();
    static_cast<char*>(byte.at(key).mutable_data_ptr())[tensor.nbytes() - 1] ^= 1;
    differs(byte);
  }
  Checkpoint renamed = whole, flat = whole, typed = whole;
  renamed.tensors.back().first += "x";
  differs(renamed);
  flat.at("lm_head.weight") = flat.at("lm_head.weight").view({32, 64});
  differs(flat);
  typed.at("lm_head.weight") = typed.at("lm_head.weight").view(at::kInt);
  differs(typed);
}

}  // namespace
}  // namespace promptdistill::test
