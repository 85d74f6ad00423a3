// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Plans against what a prefill then holds and does: cache bytes, peak, rows, and FLOPs counted
// anew.

#include "examples/bench/random_model.hpp"
#include "examples/common/memory_meter.hpp"
#include "promptdistill/baseline/gem_filter.hpp"
#include "promptdistill/baseline/snap_kv.hpp"
#include "promptdistill/io/safetensors_folder.hpp"
#include "promptdistill/model/cpu/attend_many.hpp"
#include "promptdistill/model/plan.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"
#include "tests/io/tiny_lm.hpp"

namespace promptdistill::test {
namespace {

ModelConfig llama(std::int64_t hidden,
                  std::int64_t layers,
                  std::int64_t heads,
                  std::int64_t kv_heads,
                  std::int64_t head_dim,
                  std::int64_t intermediate,
                  std::int64_t vocabulary) {
  ModelConfig config;
  config.model_type = "llama";
  config.hidden_size = hidden;
  config.num_hidden_layers = layers;
  config.num_attention_heads = heads;
  config.num_key_value_heads = kv_heads;
  config.head_dim = config.rope.rotary_dim = head_dim;
  config.intermediate_size = intermediate;
  config.vocab_size = vocabulary;
  config.max_position_embeddings = 8192;
  config.tie_word_embeddings = true;
  return config;
}

ModelConfig smollm2() { return llama(576, 30, 9, 3, 64, 1536, 49152); }

ModelConfig llama_70b() {
  ModelConfig config = llama(8192, 80, 64, 8, 128, 28672, 128256);
  config.max_position_embeddings = 131072;
  config.tie_word_embeddings = false;
  return config;
}

PlanRequest request_of(std::int64_t tokens, at::ScalarType dtype = at::kBFloat16) {
  PlanRequest request;
  request.prompt_tokens = tokens;
  request.dtype = dtype;
  return request;
}

DistillOptions staged(std::vector<Stage> stages, std::int64_t truncated = 0) {
  DistillOptions options;
  options.stages = std::move(stages);
  options.truncated_stages = truncated;
  return options;
}

DistillOptions windowed(std::vector<Stage> stages, std::int64_t window, std::int64_t truncated) {
  DistillOptions options = staged(std::move(stages), truncated);
  options.scorer = ScorerKind::kWindow;
  options.window = window;
  options.protect_first = 4;
  return options;
}

/// Stages, truncation and scorers of all kinds, for a model of at least four layers.
std::vector<DistillOptions> settings() {
  std::vector<DistillOptions> out{{}};
  const std::vector<std::vector<Stage>> schedules{{{0, Count{5}}},
                                                  {{2, Ratio{0.3}}},
                                                  {{0, Ratio{0.6}}, {2, Count{7}}},
                                                  {{0, Count{100000}}, {1, Count{9}}}};
  for (const auto& stages : schedules) {
    for (const std::int64_t truncated : {std::int64_t{0}, std::int64_t{1}, kTruncateAll}) {
      out.push_back(staged(stages, truncated));
      out.push_back(windowed(stages, 6, truncated));
      out.push_back(windowed(stages, 3, truncated));
      out.back().protect_last = 9;
    }
  }
  return out;
}

/// Keeps in every KV head the first `rows` - `window` rows and the last `window`, once.
struct CutPerHead {
  std::int64_t rows, window;
  void evict(const CacheProbe& probe, LayerCache& cache) const {
    if (!probe.prefill || cache.rows() <= rows) return;
    const at::Tensor kept =
        at::cat({at::arange(rows - window), at::arange(cache.rows() - window, cache.rows())});
    cache.keep(kept.to(cache.keys().device()).expand({cache.keys().size(0), -1}), probe.room);
  }
};

at::Tensor ids_for(const CausalLm& lm, const PlanRequest& request) {
  std::mt19937_64 random(7);
  return tensor_of(random_ids(random, request.prompt_tokens * request.batch, lm.config.vocab_size));
}

void check_cache(const Plan& plan, const KvCache& cache) {
  CHECK(plan.cache_bytes == static_cast<std::int64_t>(cache.bytes()));
  for (std::int64_t l = 0; l < cache.layers(); ++l) {
    const LayerPlan& layer = plan.layers.at(static_cast<std::size_t>(l));
    std::int64_t bytes = 0;
    for (std::int64_t b = 0; b < cache.batch(); ++b) {
      CHECK(layer.cache_rows == cache.at(b, l).rows());
      bytes += static_cast<std::int64_t>(cache.at(b, l).bytes());
    }
    CHECK(layer.cache_bytes == bytes);
  }
}

TEST_CASE("planned cache rows and bytes and kept tokens are those of the prefill", "[model]") {
  const std::string name = GENERATE("tiny-untied", "tiny-llama3rope");
  const auto dtype = GENERATE(at::kFloat, at::kBFloat16);
  const auto placement = GENERATE(Placement::kBefore, Placement::kAfter);
  const CausalLm lm = tiny(name, dtype);
  for (const DistillOptions& setting : settings()) {
    for (const std::int64_t tokens : {1, 2, 8, 90}) {
      for (const std::int64_t batch : {1, 3}) {
        PlanRequest request = request_of(tokens, dtype);
        request.batch = batch;
        request.room = batch == 1 ? 0 : 5;
        request.placement = placement;
        INFO(to_string(setting.stages)
             << ", truncate " << setting.truncated_stages << ", " << to_string(setting.scorer)
             << ", " << tokens << " x " << batch);
        KvCache cache = lm.make_cache(batch, request.room);
        const PrefillResult result =
            lm.prefill(ids_for(lm, request),
                       std::vector<std::int64_t>(static_cast<std::size_t>(batch), tokens), cache,
                       make_distiller(setting), placed(placement));
        const Plan plan = plan_prefill(lm.config, request, setting);
        check_cache(plan, cache);
        for (const StageRecord& stage : result.stages)
          CHECK(plan.layers.at(static_cast<std::size_t>(stage.layer)).kept * batch ==
                stage.kept_positions.numel());
      }
    }
  }
}

TEST_CASE("planned caches of the rivals are those of their rules", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  for (const std::int64_t tokens : {3, 40, 41, 90}) {
    PlanRequest request = request_of(tokens, at::kFloat);
    request.room = 4;
    KvCache cut = lm.make_cache(1, 4);
    lm.prefill(ids_for(lm, request), {tokens}, cut, NoDistill{}, {}, CutPerHead{40, 8});
    check_cache(plan_snap_kv(lm.config, request, 32, 8), cut);
    PlanRequest chosen = request;
    chosen.prompt_tokens = std::min<std::int64_t>(tokens, 32);
    KvCache again = lm.make_cache(1, 4);
    lm.prefill(ids_for(lm, chosen), {chosen.prompt_tokens}, again);
    check_cache(plan_gem_filter(lm.config, request, 2, 32), again);
  }
}

template <class Eviction = KeepCache>
std::int64_t measured_peak(const CausalLm& lm,
                           const PlanRequest& request,
                           const DistillOptions& options,
                           Eviction eviction = {}) {
  const at::Tensor given = ids_for(lm, request);
  const std::vector<std::int64_t> lengths(static_cast<std::size_t>(request.batch),
                                          request.prompt_tokens);
  PrefillOptions prefill_options = placed(request.placement);
  prefill_options.prefill_chunk = request.prefill_chunk;
  const examples::MemoryMeter meter;
  const at::Tensor ids = given.clone();
  KvCache cache = lm.make_cache(request.batch, request.room);
  const PrefillResult result =
      lm.prefill(ids, lengths, cache, make_distiller(options), prefill_options, eviction);
  lm.logits(result.last_hidden);
  return meter.peak_bytes();
}

/// Whether bfloat16 runs as it is planned: a CPU without the kernel attends in float32 parts.
bool runs_as_planned(at::ScalarType dtype) {
  const at::Tensor one = at::ones({1, 1, 16}, dtype);
  const bool planned =
      dtype == at::kFloat || cpu::attends_many(one, std::vector<CacheRows>{{one, one, {}}});
  if (!planned) WARN("this machine has no AVX-512 BF16: bfloat16 takes more than is planned");
  return planned;
}

TEST_CASE("the planned peak is within a tenth of the measured one", "[model]") {
  // Shapes in which another moment is the largest: the MLP, attention, the norm, logits.
  const ModelConfig config =
      GENERATE(llama(256, 4, 8, 2, 32, 700, 64), llama(128, 4, 8, 1, 64, 64, 64),
               llama(256, 4, 8, 2, 16, 32, 64), llama(8, 4, 2, 1, 4, 8, 1000000));
  const auto dtype = GENERATE(at::kFloat, at::kBFloat16);
  if (!runs_as_planned(dtype)) return;
  at::set_num_threads(1);
  const CausalLm lm = examples::random_model(config, dtype, at::kCPU, 3);
  for (const DistillOptions& setting :
       {DistillOptions{}, staged({{0, Count{200}}}), windowed({{0, Count{100}}}, 64, 1),
        windowed({{1, Count{600}}, {2, Count{100}}}, 16, kTruncateAll)}) {
    for (const auto& [placement, batch, chunk] : {std::tuple{Placement::kBefore, 1, 0},
                                                  {Placement::kAfter, 1, 0},
                                                  {Placement::kBefore, 2, 0},
                                                  {Placement::kBefore, 1, 256},
                                                  {Placement::kAfter, 2, 400}}) {
      PlanRequest request = request_of(1500, dtype);
      request.batch = batch;
      request.room = 32;
      request.placement = placement;
      if (chunk > 0) request.prefill_chunk = chunk;
      INFO("hidden " << config.hidden_size << ", MLP " << config.intermediate_size << ", "
                     << to_string(setting.stages) << " of " << to_string(setting.scorer)
                     << (placement == Placement::kAfter ? " after" : " before") << ", batch "
                     << batch << ", chunk " << chunk << ", " << at::toString(dtype));
      const double planned = static_cast<double>(plan_prefill(config, request, setting).peak_bytes);
      CHECK(planned / static_cast<double>(measured_peak(lm, request, setting)) ==
            Approx(1).margin(chunk > 0 && placement == Placement::kAfter ? 0.2 : 0.1));
    }
  }
}

TEST_CASE("SnapKV's planned peak is within a tenth of the measured one", "[model]") {
  const ModelConfig config =
      GENERATE(llama(256, 4, 8, 2, 32, 700, 64), llama(128, 4, 8, 1, 64, 64, 64));
  const auto dtype = GENERATE(at::kFloat, at::kBFloat16);
  if (!runs_as_planned(dtype)) return;
  const std::optional<std::int64_t> chunk =
      GENERATE(std::optional<std::int64_t>{}, std::optional<std::int64_t>{256});
  at::set_num_threads(1);
  const CausalLm lm = examples::random_model(config, dtype, at::kCPU, 3);
  PlanRequest request = request_of(1500, dtype);
  request.room = 32;
  request.prefill_chunk = chunk;
  INFO("hidden " << config.hidden_size << ", chunk " << chunk.value_or(0) << ", "
                 << at::toString(dtype));
  const double planned = static_cast<double>(plan_snap_kv(config, request, 100, 16).peak_bytes);
  CHECK(planned / static_cast<double>(measured_peak(
                      lm, request, {}, SnapKv({.capacity = 116, .window = 16, .pool = 5}))) ==
        Approx(1).margin(0.1));
}

TEST_CASE("GemFilter's planned peak is within a tenth of the measured one", "[model]") {
  const ModelConfig config =
      GENERATE(llama(256, 4, 8, 2, 32, 700, 64), llama(128, 4, 8, 1, 64, 64, 64));
  const auto dtype = GENERATE(at::kFloat, at::kBFloat16);
  const std::optional<std::int64_t> chunk =
      GENERATE(std::optional<std::int64_t>{}, std::optional<std::int64_t>{256});
  const auto form = GENERATE(GemFilterForm::kAuthors, GemFilterForm::kImproved);
  if (!runs_as_planned(dtype)) return;
  at::set_num_threads(1);
  const CausalLm lm = examples::random_model(config, dtype, at::kCPU, 3);
  PlanRequest request = request_of(1500, dtype);
  request.prefill_chunk = chunk;
  PrefillOptions options;
  options.prefill_chunk = chunk;
  std::vector<std::int64_t> prompt(1500);
  for (std::size_t i = 0; i < prompt.size(); ++i)
    prompt[i] = static_cast<std::int64_t>(i) % config.vocab_size;
  const examples::MemoryMeter meter;
  gem_filter(lm, prompt, {.layer = 2, .tokens = 100, .pool = 5}, form, options);
  const Plan plan = plan_gem_filter(config, request, 2, 100, form == GemFilterForm::kAuthors);
  INFO("hidden " << config.hidden_size << ", chunk " << chunk.value_or(0) << ", "
                 << at::toString(dtype) << (form == GemFilterForm::kAuthors ? ", authors'" : ""));
  CHECK(static_cast<double>(plan.peak_bytes) / static_cast<double>(meter.peak_bytes()) ==
        Approx(1).margin(chunk && form == GemFilterForm::kAuthors ? 0.2 : 0.1));
}

TEST_CASE("parameters are counted from the config as the checkpoint holds them", "[model]") {
  for (const char* name : {"tiny-untied", "tiny-llama3rope"}) {  // the first has every bias
    const auto file = SafetensorsFile::open(tiny_folder(name) / "model.safetensors");
    std::int64_t count = 0;
    for (const auto& [tensor, entry] : file.entries()) {
      std::int64_t numbers = 1;
      for (const std::int64_t size : entry.shape) numbers *= size;
      count += numbers;
    }
    CHECK(parameter_count(ModelConfig::load(tiny_folder(name))) == count);
  }
  for (const char* name : {"mistral", "phi3", "phi3-partial", "qwen2", "qwen3"}) {
    INFO(name);
    std::int64_t count = 0;
    const SafetensorsFolder files = SafetensorsFolder::open(family_folder(name));
    for (const auto& [tensor, file] : files.tensors()) count += file->tensor(tensor).numel();
    CHECK(parameter_count(ModelConfig::load(family_folder(name))) == count);
  }
  CHECK(parameter_count(smollm2()) == 134'515'008);
  CHECK(parameter_count(llama_70b()) == 70'553'706'496);
}

TEST_CASE("Llama-3.1-70B at its whole context fits the published sizes", "[model]") {
  const std::int64_t tokens = 131072;
  const Plan full = plan_prefill(llama_70b(), request_of(tokens));
  CHECK(full.cache_bytes ==
        2LL * 80 * 8 * 128 * tokens * 2 + 80 * tokens * 8);  // and the positions
  CHECK(full.layers.size() == 80);
  CHECK(full.layers[79].cache_bytes == full.cache_bytes / 80);
  // Weights but for the embedding, and the cache without its positions.
  CHECK(full.decode_read_bytes ==
        2 * (70'553'706'496 - 128256LL * 8192) + 2LL * 80 * 8 * 128 * tokens * 2);
}

/// Every product of a full prefill, one by one.
double counted_flops(const ModelConfig& c, std::int64_t tokens) {
  double products = 0;
  const double e = static_cast<double>(c.hidden_size), m = static_cast<double>(c.intermediate_size),
               q = static_cast<double>(c.num_attention_heads * c.head_dim),
               kv = static_cast<double>(c.num_key_value_heads * c.head_dim);
  for (std::int64_t l = 0; l < c.num_hidden_layers; ++l) {
    for (std::int64_t i = 0; i < tokens; ++i) {
      products += e * q + e * kv + e * kv + q * e;  // q, k, v, o
      const std::int64_t first =
          c.window_of(l) ? std::max<std::int64_t>(i - *c.window_of(l) + 1, 0) : 0;
      for (std::int64_t key = first; key <= i; ++key) products += q /* q.k */ + q /* p.v */;
      products += e * m + e * m + m * e;  // gate, up, down
    }
  }
  return 2 * (products + e * static_cast<double>(c.vocab_size));
}

TEST_CASE("FLOPs are those of the products, one by one", "[model]") {
  const ModelConfig config = llama(48, 3, 6, 2, 16, 100, 70);
  const Plan full = plan_prefill(config, request_of(25));
  CHECK(full.prefill.total() == Approx(counted_flops(config, 25)).epsilon(1e-12));
  CHECK(full.prefill.selection == 0);
  // A decode step after n tokens is what n + 1 cost more than n.
  CHECK(full.decode_step.total() ==
        Approx(counted_flops(config, 26) - counted_flops(config, 25) + full.prefill.lm_head)
            .epsilon(1e-12));
  ModelConfig sliding = config;
  sliding.sliding_window = 7;
  sliding.slides = {true, false, true};
  const Plan within = plan_prefill(sliding, request_of(25));
  CHECK(within.prefill.total() == Approx(counted_flops(sliding, 25)).epsilon(1e-12));
  CHECK(within.decode_step.total() ==
        Approx(counted_flops(sliding, 26) - counted_flops(sliding, 25) + full.prefill.lm_head)
            .epsilon(1e-12));
  CHECK(within.cache_bytes == full.cache_bytes);  // rows beyond the window are kept
  PlanRequest three = request_of(25);
  three.batch = 3;
  CHECK(plan_prefill(config, three).prefill.total() ==
        Approx(3 * full.prefill.total()).epsilon(1e-12));

  // A stage after layer 0: that layer in full, the others on 10 tokens and the last one.
  PlanRequest after = request_of(25);
  after.placement = Placement::kAfter;
  const DistillOptions stage = staged({{0, Count{10}}});
  const auto layer = [&](std::int64_t tokens) {
    ModelConfig one = config;
    one.num_hidden_layers = 1;
    return plan_prefill(one, request_of(tokens)).prefill.total() - full.prefill.lm_head;
  };
  const double scores = 2.0 * 6 * 16 * 25;
  CHECK(plan_prefill(config, after, stage).prefill.total() ==
        Approx(layer(25) + 2 * layer(11) + scores + full.prefill.lm_head).epsilon(1e-12));
  // Before its attention: keys and values of all, one query to score, the rest on the 11 kept.
  const double keys = 2.0 * 25 * 2 * 48 * 32, query = 2.0 * 48 * 96,
               rest = 11 * (2 * query + 2.0 * 3 * 48 * 100) + 4.0 * 96 * 11 * 13;
  CHECK(plan_prefill(config, request_of(25), stage).prefill.total() ==
        Approx(keys + query + rest + 2 * layer(11) + scores + full.prefill.lm_head).epsilon(1e-12));
  CHECK(plan_prefill(config, request_of(25), staged({{0, Count{24}}})).prefill.total() ==
        full.prefill.total());

  // GemFilter: layer 0, keys, values and a query of layer 1, then everything on 10 tokens.
  CHECK(plan_gem_filter(config, request_of(25), 1, 10).prefill.total() ==
        Approx(layer(25) + keys + query + scores +
               plan_prefill(config, request_of(10)).prefill.total())
            .epsilon(1e-12));
  CHECK(plan_gem_filter(config, request_of(25), 1, 10, true).prefill.total() ==
        Approx(2 * layer(25) + scores + plan_prefill(config, request_of(10)).prefill.total())
            .epsilon(1e-12));
  CHECK(plan_gem_filter(config, request_of(25), 1, 25).prefill.total() == full.prefill.total());
  CHECK(plan_snap_kv(config, request_of(25), 8, 4).prefill.total() ==
        Approx(full.prefill.total() + 3 * 4 * scores).epsilon(1e-12));
  CHECK(plan_snap_kv(config, request_of(25), 21, 4).prefill.total() == full.prefill.total());
}

TEST_CASE("predicted speed-ups of SmolLM2 are close to those measured for README", "[model]") {
  // Both profiles, then 512 tokens kept at layer 20.
  const DistillOptions one = windowed({{14, Count{512}}}, 16, 0),
                       three = windowed({{7, Count{2048}}, {14, Count{512}}, {20, Count{256}}}, 32,
                                        kTruncateAll),
                       late = windowed({{20, Count{512}}}, 16, 0);
  const auto predicted = [&](std::int64_t tokens, const DistillOptions& options) {
    const PlanRequest request = request_of(tokens);
    return speed_up(plan_prefill(smollm2(), request, options), plan_prefill(smollm2(), request));
  };
  CHECK(predicted(4096, one) == Approx(1.91).epsilon(0.05));
  CHECK(predicted(4096, three) == Approx(2.68).epsilon(0.05));
  CHECK(predicted(7700, one) == Approx(2.02).epsilon(0.05));
  CHECK(predicted(7700, three) == Approx(3.41).epsilon(0.05));
  CHECK(predicted(7700, late) == Approx(1.46).epsilon(0.05));
}

TEST_CASE("a plan orders the methods as their caches and peaks do", "[model]") {
  const ModelConfig config = llama_70b();
  const PlanRequest request = request_of(100000);
  const Plan full = plan_prefill(config, request),
             single = plan_prefill(config, request, staged({{32, Count{1024}}})),
             cut = plan_prefill(config, request, staged({{32, Count{1024}}}, 1)),
             gem = plan_gem_filter(config, request, 32, 1024),
             snap = plan_snap_kv(config, request, 1024);
  CHECK(single.cache_bytes < full.cache_bytes);
  CHECK(cut.cache_bytes < single.cache_bytes / 30);
  CHECK(cut.peak_bytes == single.peak_bytes);  // both before the stage
  CHECK(single.peak_bytes < full.peak_bytes);
  CHECK(gem.peak_bytes < single.peak_bytes);  // it keeps no cache on the way
  CHECK(snap.peak_bytes < single.peak_bytes);
  CHECK(speed_up(snap, full) < 1);
  CHECK(speed_up(gem, full) < speed_up(single, full));
  // Positions are kept per head: 8 bytes for each of the 8.
  CHECK(snap.cache_bytes == 80LL * 1056 * (2 * 8 * 128 * 2 + 8 * 8));
}

TEST_CASE("what cannot be planned is refused, and nothing overflows unsaid", "[model]") {
  const ModelConfig config = llama_70b();
  const auto refusal = [&](const PlanRequest& request, const DistillOptions& options = {}) {
    return message_of<c10::Error>([&] { plan_prefill(config, request, options); });
  };
  const auto with = [](std::int64_t tokens, std::int64_t batch, std::int64_t room) {
    PlanRequest request = request_of(tokens);
    request.batch = batch;
    request.room = room;
    return request;
  };
  using Catch::Matchers::Contains;
  CHECK_THAT(refusal(with(0, 1, 0)), Contains("at least one token"));
  CHECK_THAT(refusal(with(-5, 1, 0)), Contains("at least one token"));
  CHECK_THAT(refusal(with(5, 0, 0)), Contains("at least one prompt"));
  CHECK_THAT(refusal(with(5, 1, -1)), Contains("room"));
  CHECK_THAT(refusal(request_of(5, at::kLong)), Contains("must be float32, float16 or bfloat16"));
  CHECK_THAT(refusal(request_of(5), staged({{80, Count{3}}})),
             Contains("the model has layers 0 to 79, got 80"));
  CHECK_THAT(message_of<c10::Error>([&] { plan_gem_filter(config, request_of(5), 80, 3); }),
             Contains("layers 0 to 79, got 80"));
  CHECK_THAT(message_of<c10::Error>([&] { plan_gem_filter(config, request_of(5), 3, 0); }),
             Contains("at least 1 token"));
  CHECK_THAT(message_of<c10::Error>([&] { plan_snap_kv(config, request_of(5), 3, 0); }),
             Contains("at least 1"));

  const Plan billion =
      plan_prefill(config, with(1'000'000'000, 1, 1000), staged({{3, Ratio{0.1}}}));
  CHECK(billion.layers[4].cache_bytes == (100'000'001LL + 1000) * (2LL * 8 * 128 * 2 + 8));
  CHECK(std::isfinite(billion.prefill.total()));
  CHECK(billion.prefill.attention > 1e22);
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  for (const PlanRequest& request : {with(most, 1, 0), with(most / 8, 1, 0), with(1, most, 0),
                                     with(1, 1, most), with(1LL << 32, 1LL << 31, 0)}) {
    CHECK_THAT(refusal(request), Contains("below 2^63"));
  }
  ModelConfig absurd = config;
  absurd.hidden_size = absurd.intermediate_size = 1 << 24;
  absurd.num_attention_heads = absurd.head_dim = 1 << 16;
  absurd.num_hidden_layers = 4096;
  CHECK_THAT(message_of<c10::Error>([&] { parameter_count(absurd); }), Contains("below 2^63"));
}

}  // namespace
}  // namespace promptdistill::test
