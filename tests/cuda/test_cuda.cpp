// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What holds on a CUDA device alone: where the host waits for it, and bfloat16 kernels that the CPU
// does not have. Built where LibTorch has CUDA; passes with a word where no device is found.

#include <c10/cuda/CUDAFunctions.h>

#include <random>

#include "examples/bench/random_model.hpp"
#include "promptdistill/model.hpp"
#include "promptdistill/model/cuda/decode_graph.hpp"
#include "promptdistill/promptdistill.hpp"
#include "tests/catch.hpp"
#include "tests/io/tiny_lm.hpp"

namespace promptdistill::test {
namespace {

bool has_device() {
  if (at::hasCUDA()) return true;
  WARN("skipped: no CUDA device");
  return false;
}

bool has_graphs(const CausalLm& lm) {
  if (cuda::DecodeGraph::fits(lm, lm.make_cache())) return true;
  WARN("skipped: no flash attention in this LibTorch or device");
  return false;
}

void waiting_is_an_error(bool yes) {
  c10::cuda::warning_state().set_sync_debug_mode(yes ? c10::cuda::SyncDebugMode::L_ERROR
                                                     : c10::cuda::SyncDebugMode::L_DISABLED);
}

/// While it lives, an operation for which the host waits throws.
struct NoWaiting {
  NoWaiting() { waiting_is_an_error(true); }
  ~NoWaiting() { waiting_is_an_error(false); }
};

CausalLm small_llama(at::ScalarType dtype) {
  const ModelConfig config = ModelConfig::parse(JsonObject("small", nlohmann::json::parse(R"({
      "model_type": "llama", "hidden_size": 256, "intermediate_size": 512,
      "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 2,
      "vocab_size": 500, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5})")));
  CausalLm lm = examples::random_model(config, dtype, at::kCUDA, 5);
  for (DecoderLayer& layer : lm.model.layers) {  // attention that tells tokens apart
    layer.self_attn.q_proj.weight.mul_(4);
    layer.self_attn.k_proj.weight.mul_(4);
  }
  return lm;
}

Ids prompt_of(std::int64_t tokens) {
  std::mt19937_64 random(31);
  return random_ids(random, tokens, 500);
}

DistillOptions two_stages(std::int64_t truncated) {
  DistillOptions options;
  options.stages = {{1, Count{500}}, {3, Count{90}}};
  options.truncated_stages = truncated;
  options.scorer = ScorerKind::kWindow;
  options.window = 16;
  return options;
}

TEST_CASE("the host waits for the device at a stage alone, and not in a decode step", "[cuda]") {
  if (!has_device()) return;
  const CausalLm lm = small_llama(at::kBFloat16);
  const Ids ids = prompt_of(1500);
  const at::Tensor host = at::tensor(ids, at::kLong);
  for (const std::int64_t truncated : {0, 1, 2}) {
    for (const bool chunked : {false, true}) {
      INFO(truncated << " truncations" << (chunked ? ", in chunks" : ""));
      const AnyDistiller policy = make_distiller(two_stages(truncated));
      KvCache cache = lm.make_cache(1, 8);
      PrefillOptions options;
      if (chunked) options.prefill_chunk = 400;
      options.progress = [](const PrefillProgress& at) {
        waiting_is_an_error(at.layer != 1 && at.layer != 3);
      };
      const NoWaiting guard;
      CHECK_NOTHROW(lm.prefill(host, {1500}, cache, policy, options));
      waiting_is_an_error(true);
      const at::Tensor token = at::tensor({7}, at::kLong);
      CHECK_NOTHROW(lm.logits(lm.append(token, {1}, cache)));
    }
  }
  KvCache cache = lm.make_cache();
  const NoWaiting guard;
  CHECK_NOTHROW(lm.prefill(host, {1500}, cache));
  CHECK_THROWS(at::ones({1}, at::kCUDA).item<float>());  // it would have been seen
}

TEST_CASE("bfloat16 in chunks, whole and step by step is float32 up to rounding", "[cuda]") {
  if (!has_device()) return;
  const CausalLm wide = small_llama(at::kFloat);
  CausalLm narrow = small_llama(at::kBFloat16);
  const auto round = [](const at::Tensor& weight) { return weight.to(at::kBFloat16); };
  narrow.model.embed_tokens = round(wide.model.embed_tokens);
  narrow.lm_head = round(wide.lm_head);
  for (std::size_t l = 0; l < narrow.model.layers.size(); ++l) {
    const DecoderLayer& from = wide.model.layers[l];
    DecoderLayer& to = narrow.model.layers[l];
    to.self_attn.q_proj.weight = round(from.self_attn.q_proj.weight);
    to.self_attn.k_proj.weight = round(from.self_attn.k_proj.weight);
    to.self_attn.v_proj.weight = round(from.self_attn.v_proj.weight);
    to.self_attn.o_proj.weight = round(from.self_attn.o_proj.weight);
    to.mlp.gate_proj.weight = round(from.mlp.gate_proj.weight);
    to.mlp.up_proj.weight = round(from.mlp.up_proj.weight);
    to.mlp.down_proj.weight = round(from.mlp.down_proj.weight);
  }
  const Ids ids = prompt_of(1500), next{7, 9, 11};
  const auto run = [&](const CausalLm& lm, std::optional<std::int64_t> chunk) {
    PrefillOptions options;
    options.prefill_chunk = chunk;
    KvCache cache = lm.make_cache(1, 8);
    std::vector<at::Tensor> logits{prefill_one(lm, ids, cache, NoDistill{}, options)};
    for (const std::int64_t id : next) logits.push_back(append_one(lm, {id}, cache));
    return at::stack(logits);
  };
  const at::Tensor expected = run(wide, {});
  REQUIRE(apart(run(wide, 400), expected) < 2e-5);
  const double size = expected.abs().max().item<double>();
  for (const std::optional<std::int64_t> chunk :
       {std::optional<std::int64_t>(), std::optional<std::int64_t>(400)}) {
    INFO(chunk.value_or(0));
    const at::Tensor off = run(narrow, chunk).sub(expected);
    CHECK(off.abs().max().item<double>() < 0.05 * size);
    CHECK(off.square().mean().sqrt().item<double>() < 0.01 * size);
  }
}

/// The largest difference as a part of the largest number.
double relative(const at::Tensor& got, const at::Tensor& expected) {
  return got.sub(expected).abs().max().item<double>() / expected.abs().max().item<double>();
}

TEST_CASE("a decode graph writes and answers what appends do", "[cuda]") {
  if (!has_device()) return;
  const CausalLm lm = small_llama(at::kBFloat16);
  if (!has_graphs(lm)) return;
  const Ids ids = prompt_of(700);
  const auto compare = [&](const auto& policy, auto eviction, std::int64_t room) {
    KvCache plain = lm.make_cache(1, room);
    prefill_one(lm, ids, plain, policy, {}, eviction);
    KvCache cache = plain.fork();
    cuda::DecodeGraph graph(lm, cache);
    std::mt19937_64 random(32);
    const void* written = nullptr;
    for (int step = 0; step < 12; ++step) {
      INFO("step " << step << ", room " << room);
      if (step == 8) {  // somebody else may append in between
        const Ids turn = random_ids(random, 3, 500);
        CHECK(relative(append_one(lm, turn, cache), append_one(lm, turn, plain)) < 0.02);
      }
      const std::int64_t token = random_ids(random, 1, 500).front();
      const at::Tensor logits = graph.run(token), got = logits.clone();
      // A graph that is replayed writes where it wrote before.
      if (room == 64 && step > 0 && step != 8) CHECK(logits.const_data_ptr() == written);
      written = logits.const_data_ptr();
      CHECK(relative(got, append_one(lm, {token}, plain)) < 0.02);
      REQUIRE(cache.rows() == plain.rows());
      REQUIRE(cache.next_position(0) == plain.next_position(0));
    }
    for (std::int64_t l = 0; l < lm.layers(); ++l) {
      CHECK(at::equal(cache.at(0, l).positions(), plain.at(0, l).positions()));
      CHECK(relative(cache.at(0, l).keys(), plain.at(0, l).keys()) < 0.02);
      CHECK(relative(cache.at(0, l).values(), plain.at(0, l).values()) < 0.02);
    }
  };
  for (const std::int64_t room : {64, 5, 0}) {
    compare(NoDistill{}, KeepCache{}, room);
    for (const std::int64_t truncated : {0, 1, 2})
      compare(make_distiller(two_stages(truncated)), KeepCache{}, room);
    SnapKvOptions snap;
    snap.capacity = 100;
    compare(NoDistill{}, SnapKv(snap), room);  // each head its own rows
  }
  KvCache cache = lm.make_cache(1, 8);
  CHECK_THROWS_AS(cuda::DecodeGraph(lm, cache), c10::ValueError);  // nothing to go on from
  const CausalLm wide = small_llama(at::kFloat);
  CHECK_FALSE(cuda::DecodeGraph::fits(wide, cache));
  CHECK_FALSE(cuda::decode_graph(wide, cache));
  prefill_one(lm, ids, cache);
  cuda::DecodeGraph graph(lm, cache);
  CHECK_THROWS_AS(graph.run(500), c10::IndexError);
  CHECK_THROWS_AS(graph.run(-1), c10::IndexError);
}

TEST_CASE("generate answers the same by a graph", "[cuda]") {
  if (!has_device()) return;
  const CausalLm lm = small_llama(at::kBFloat16);
  if (!has_graphs(lm)) return;
  GenerateOptions options;
  options.max_new_tokens = 20;
  KvCache cache = lm.make_cache(1, 20), other = lm.make_cache(1, 20);
  const GenerateResult plain = generate(lm, prompt_of(300), cache, NoDistill{}, options);
  int made = 0;
  options.decode_with = [&](const CausalLm& model, KvCache& held) {
    ++made;
    return cuda::decode_graph(model, held);
  };
  const GenerateResult graph = generate(lm, prompt_of(300), other, NoDistill{}, options);
  CHECK(made == 1);
  CHECK(graph.tokens.front() == plain.tokens.front());
  CHECK(other.rows() == cache.rows());
  CHECK(relative(graph.last_logits, plain.last_logits) < 0.02);  // the same tokens led there
}

}  // namespace
}  // namespace promptdistill::test
