// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0

#include <ATen/record_function.h>

#include <random>
#include <string>
#include <vector>

#include "examples/common/memory_meter.hpp"
#include "promptdistill/baseline/h2o.hpp"
#include "promptdistill/baseline/snap_kv.hpp"
#include "promptdistill/model.hpp"
#include "promptdistill/promptdistill.hpp"
#include "tests/catch.hpp"
#include "tests/io/tiny_lm.hpp"
#include "tests/real_model.hpp"

namespace promptdistill::test {
namespace {

constexpr double kTiny = 2e-5;

PrefillOptions in_chunks(std::int64_t size, Placement placement = Placement::kBefore) {
  PrefillOptions options = placed(placement);
  options.prefill_chunk = size;
  return options;
}

DistillOptions windowed(std::vector<Stage> stages, std::int64_t truncated) {
  DistillOptions options;
  options.stages = std::move(stages);
  options.truncated_stages = truncated;
  options.scorer = ScorerKind::kWindow;
  options.window = 6;
  options.protect_first = 2;
  return options;
}

std::vector<std::int64_t> kept_by(const PrefillResult& result) {
  std::vector<std::int64_t> all;
  for (const StageRecord& stage : result.stages) {
    const Ids kept = ids_of(stage.kept_positions);
    all.insert(all.end(), kept.begin(), kept.end());
    all.push_back(-stage.layer);
  }
  return all;
}

TEST_CASE("packed rows are cut into chunks that lose nothing and end whole", "[model]") {
  std::mt19937_64 random(21);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::int64_t> lengths(1 + random() % 5);
    for (auto& length : lengths) length = 1 + static_cast<std::int64_t>(random() % 40);
    const auto size = 1 + static_cast<std::int64_t>(random() % 30);
    std::vector<std::int64_t> covered(lengths.size(), 0);
    std::int64_t at = 0;
    for (const detail::Chunk& chunk : detail::make_chunks(lengths, size)) {
      CHECK(chunk.begin == at);
      CHECK(chunk.end - chunk.begin <= size);
      at = chunk.end;
      std::int64_t tokens = 0;
      for (std::size_t b = 0; b < chunk.lengths.size(); ++b) {
        const auto row = static_cast<std::size_t>(chunk.first_row) + b;
        covered.at(row) += chunk.lengths[b];
        tokens += chunk.lengths[b];
        const bool last = b + 1 == chunk.lengths.size();
        CHECK(lengths[row] - covered[row] == (last ? chunk.rest : 0));
        if (covered[row] == lengths[row])  // the end of a row stands in a whole chunk
          CHECK(chunk.lengths[b] == std::min(size, lengths[row]));
      }
      CHECK(tokens == chunk.end - chunk.begin);
    }
    CHECK(covered == lengths);
  }
}

TEST_CASE("a prefill in chunks is the prefill at once", "[model]") {
  const std::string name = GENERATE("tiny-untied", "tiny-llama3rope");
  const auto placement = GENERATE(Placement::kBefore, Placement::kAfter);
  const CausalLm lm = tiny(name);
  std::mt19937_64 random(22);
  const std::vector<std::int64_t> lengths{90, 3, 41, 8};
  Ids ids;
  for (const std::int64_t length : lengths) {
    const Ids row = random_ids(random, length, lm.config.vocab_size);
    ids.insert(ids.end(), row.begin(), row.end());
  }
  for (const DistillOptions& setting :
       {DistillOptions{}, windowed({{1, Count{20}}}, 0), windowed({{0, Count{30}}}, kTruncateAll),
        windowed({{0, Ratio{0.6}}, {1, Ratio{0.5}}}, 1),
        windowed({{0, Count{100000}}, {1, Count{9}}}, kTruncateAll)}) {
    const AnyDistiller policy = make_distiller(setting);
    KvCache whole = lm.make_cache(4, 2);
    const PrefillResult expected =
        lm.prefill(tensor_of(ids), lengths, whole, policy, placed(placement));
    for (const std::int64_t size : {6, 7, 16, 50, 89, 90, 1000}) {
      INFO(to_string(setting.stages) << " in chunks of " << size);
      KvCache cache = lm.make_cache(4, 2);
      const PrefillResult result =
          lm.prefill(tensor_of(ids), lengths, cache, policy, in_chunks(size, placement));
      CHECK(kept_by(result) == kept_by(expected));
      CHECK(apart(lm.logits(result.last_hidden), lm.logits(expected.last_hidden)) < kTiny);
      for (std::int64_t row = 0; row < 4; ++row) CHECK(apart(cache, row, whole, row) < kTiny);
      CHECK(cache.bytes() == whole.bytes());  // allocated once, for what it holds
    }
  }
}

TEST_CASE("a policy of one's own may select at the last layer, in chunks as well", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  std::mt19937_64 random(24);
  const Ids prompt = random_ids(random, 90, lm.config.vocab_size);
  const EveryNth policy{{lm.layers() - 1}, {}, 3};
  for (const Placement placement : {Placement::kBefore, Placement::kAfter}) {
    KvCache whole = lm.make_cache();
    const at::Tensor expected = prefill_one(lm, prompt, whole, policy, placed(placement));
    for (const std::int64_t size : {1, 20, 29, 89}) {
      if (placement == Placement::kAfter && size < policy.window(0)) continue;
      KvCache cache = lm.make_cache();
      INFO("in chunks of " << size);
      CHECK(apart(prefill_one(lm, prompt, cache, policy, in_chunks(size, placement)), expected) <
            kTiny);
    }
  }
}

TEST_CASE("cache policies evict the same after chunks", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  std::mt19937_64 random(23);
  const Ids prompt = random_ids(random, 75, lm.config.vocab_size);
  const auto compare = [&](auto make_policy) {
    KvCache whole = lm.make_cache(1, 4), cache = lm.make_cache(1, 4);
    auto first = make_policy(), second = make_policy();
    CHECK(apart(prefill_one(lm, prompt, whole, NoDistill{}, {}, first),
                prefill_one(lm, prompt, cache, NoDistill{}, in_chunks(20), second)) < kTiny);
    CHECK(apart(cache, 0, whole, 0) < kTiny);
    CHECK(apart(append_one(lm, {5}, cache, second), append_one(lm, {5}, whole, first)) < kTiny);
    CHECK(apart(cache, 0, whole, 0) < kTiny);
  };
  compare([] {
    SnapKvOptions options;
    options.capacity = 24;
    options.window = 8;
    return SnapKv(options);
  });
  compare([] {
    H2oOptions options;
    options.heavy = options.recent = 10;
    return H2o(options);
  });
}

TEST_CASE("a chunk must be positive and hold the queries that score after a layer", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  const Ids prompt(30, 7);
  KvCache cache = lm.make_cache();
  CHECK_THROWS_AS(prefill_one(lm, prompt, cache, NoDistill{}, in_chunks(0)), c10::ValueError);
  const AnyDistiller policy = make_distiller(windowed({{1, Count{5}}}, 0));
  CHECK_THROWS_AS(prefill_one(lm, prompt, cache, policy, in_chunks(4, Placement::kAfter)),
                  c10::ValueError);
  KvCache fresh = lm.make_cache();
  CHECK_NOTHROW(prefill_one(lm, prompt, fresh, policy, in_chunks(4)));
}

/// The names of all operations that run while it lives.
class Operations {
 public:
  Operations()
      : handle_(at::addThreadLocalCallback(
            at::RecordFunctionCallback([](const at::RecordFunction& function)
                                           -> std::unique_ptr<at::ObserverContext> {
              names().emplace_back(function.name());
              return nullptr;
            }).scopes({at::RecordScope::FUNCTION}))) {
    names().clear();
  }
  ~Operations() { at::removeCallback(handle_); }

  static std::vector<std::string>& names() {
    static std::vector<std::string> list;
    return list;
  }

 private:
  at::CallbackHandle handle_;
};

TEST_CASE("without a policy the operations are those of a loop without the hook", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  std::mt19937_64 random(24);
  const at::Tensor ids = tensor_of(random_ids(random, 20, lm.config.vocab_size));
  std::vector<std::string> with, without;
  {
    KvCache cache = lm.make_cache();
    const Operations record;
    lm.prefill(ids, {20}, cache, NoDistill{});
    with = Operations::names();
  }
  {
    KvCache cache = lm.make_cache();
    const Operations record;
    const c10::InferenceMode guard;
    // The checks that open a prefill, then the plain loop.
    ids.min().item<std::int64_t>();
    ids.max().item<std::int64_t>();
    const at::Tensor device_ids = ids.to(lm.device());
    TokenFrame frame = TokenFrame::from_prompt({}, {20}, {0});
    if (!lm.device().is_cpu())
      frame = TokenFrame({}, frame.positions().to(lm.device()), frame.offsets());
    frame = frame.with_hidden(lm.model.embed_tokens.index_select(0, device_ids.narrow(0, 0, 20)));
    LiveTokens live{frame, lm.rope.at_positions(frame.positions(), lm.dtype(), 20), 0};
    for (std::int64_t l = 0; l < lm.layers(); ++l) {
      const DecoderLayer& layer = lm.model.layers[static_cast<std::size_t>(l)];
      const at::Tensor x = layer.input_layernorm(live.frame.hidden());
      layer.append(l, x, live, cache, {0});
      layer.attend(l, x, live, cache, QueryRows::kNewest);
    }
    lm.model.norm(live.frame.last_token());
    without = Operations::names();
  }
  REQUIRE(with.size() > 50);
  CHECK(with == without);
}

TEST_CASE("a decode step leaves the cache where it was allocated", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  KvCache cache = lm.make_cache(1, 20);
  prefill_one(lm, Ids(50, 9), cache);
  const void* const before = cache.at(0, 0).keys().const_data_ptr();
  const std::size_t bytes = cache.bytes();
  for (int step = 0; step < 20; ++step) append_one(lm, {7}, cache);
  CHECK(cache.at(0, 0).keys().const_data_ptr() == before);
  CHECK(cache.bytes() == bytes);
}

TEST_CASE("SmolLM2 in chunks is SmolLM2 at once", "[real]") {
  const auto folder = real_model();
  if (!folder) return;
  LoadOptions load;
  load.dtype = at::kFloat;
  const CausalLm lm = load_causal_lm(*folder, load);
  std::mt19937_64 random(25);
  const Ids prompt = random_ids(random, 1500, lm.config.vocab_size);
  for (const DistillOptions& setting :
       {DistillOptions{}, windowed({{14, Count{256}}}, kTruncateAll)}) {
    const AnyDistiller policy = make_distiller(setting);
    KvCache whole = lm.make_cache(), cache = lm.make_cache();
    const at::Tensor expected = prefill_one(lm, prompt, whole, policy);
    CHECK(apart(prefill_one(lm, prompt, cache, policy, in_chunks(400)), expected) < 1e-3);
    CHECK(apart(cache, 0, whole, 0) < 1e-3);
  }
}

}  // namespace
}  // namespace promptdistill::test
