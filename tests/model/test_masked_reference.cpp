// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Selection, truncation and cache policies against a dense double-precision model whose attention
// is masked to what should be left.

#include "promptdistill/model/causal_lm.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"
#include "tests/io/tiny_lm.hpp"

namespace promptdistill::test {
namespace {

/// Per layer: which keys each query sees, [G, N, N].
using Visible = std::vector<at::Tensor>;

at::Tensor dense_norm(const at::Tensor& x, const RmsNorm& norm) {
  return x / (x.square().mean(-1, true) + norm.eps).sqrt() * norm.weight.to(at::kDouble);
}

at::Tensor dense_linear(const at::Tensor& x, const Linear& layer) {
  const at::Tensor y = x.matmul(layer.weight.to(at::kDouble).t());
  return layer.bias.defined() ? y + layer.bias.to(at::kDouble) : y;
}

/// All tokens through all layers in double: [N] -> [N, V].
at::Tensor dense_logits(const CausalLm& lm, const Ids& ids, const Visible& visible) {
  const auto count = static_cast<std::int64_t>(ids.size());
  const std::int64_t size = lm.config.head_dim, half = size / 2;
  const at::Tensor angles = (at::arange(count, at::kDouble).unsqueeze(1) *
                             at::tensor(naive_frequencies(lm.config), at::kDouble))
                                .to(test_device());
  const auto heads = [&](const at::Tensor& x) { return x.view({count, -1, size}).transpose(0, 1); };
  const auto rotated = [&](const at::Tensor& x) {  // [H, N, D]
    const at::Tensor a = x.narrow(2, 0, half), b = x.narrow(2, half, half);
    return at::cat({a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()}, 2);
  };
  at::Tensor x = lm.model.embed_tokens.to(at::kDouble).index_select(0, tensor_of(ids));
  for (std::size_t l = 0; l < lm.model.layers.size(); ++l) {
    const DecoderLayer& layer = lm.model.layers[l];
    const std::int64_t shared = lm.config.num_attention_heads / lm.config.num_key_value_heads;
    const auto spread = [&](const at::Tensor& t) { return t.repeat_interleave(shared, 0); };
    const at::Tensor h = dense_norm(x, layer.input_layernorm);
    const at::Tensor q = rotated(heads(dense_linear(h, layer.self_attn.q_proj)));
    const at::Tensor k = spread(rotated(heads(dense_linear(h, layer.self_attn.k_proj))));
    const at::Tensor v = spread(heads(dense_linear(h, layer.self_attn.v_proj)));
    const at::Tensor scores = q.matmul(k.transpose(1, 2)) / std::sqrt(static_cast<double>(size));
    const at::Tensor weights =
        scores.masked_fill(spread(visible[l]).logical_not(), -INFINITY).softmax(-1);
    const at::Tensor mixed = weights.matmul(v).transpose(0, 1).reshape({count, -1});
    x = x + dense_linear(mixed, layer.self_attn.o_proj);
    const at::Tensor m = dense_norm(x, layer.post_attention_layernorm);
    const at::Tensor gate = dense_linear(m, layer.mlp.gate_proj);
    x = x + dense_linear(gate * gate.sigmoid() * dense_linear(m, layer.mlp.up_proj),
                         layer.mlp.down_proj);
  }
  return dense_norm(x, lm.model.norm).matmul(lm.lm_head.to(at::kDouble).t());
}

/// The rows a KV head's cache should hold, and what a policy leaves of them.
using Evict = std::function<Ids(std::int64_t group, const Ids& rows)>;

Ids intersection(const Ids& a, const Ids& b) {
  Ids out;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

/// What should happen, in sets of positions: a prompt, then blocks of appended tokens.
struct Expected {
  Expected(const CausalLm& lm,
           std::int64_t prompt,
           const Ids& blocks,
           const EveryNth& policy,
           const Evict& evict)
      : rows(static_cast<std::size_t>(lm.layers()),
             std::vector<Ids>(static_cast<std::size_t>(lm.config.num_key_value_heads))) {
    const std::int64_t groups = lm.config.num_key_value_heads;
    const std::int64_t total = std::accumulate(blocks.begin(), blocks.end(), prompt);
    for (std::int64_t l = 0; l < lm.layers(); ++l)
      visible.push_back(at::eye(total, at::kBool).expand({groups, total, total}).clone());
    Ids live = range(0, prompt);
    for (std::int64_t l = 0; l < lm.layers(); ++l) {
      run(l, live, 0, prompt, evict);
      if (!policy.selects_at(l)) continue;
      const Ids kept = policy.kept(live);
      for (std::int64_t c = 0; policy.truncates_at(l) && c <= l; ++c)
        for (Ids& held : rows[static_cast<std::size_t>(c)]) held = intersection(held, kept);
      live = kept;
    }
    std::int64_t start = prompt;
    for (const std::int64_t block : blocks) {
      for (std::int64_t l = 0; l < lm.layers(); ++l)
        run(l, range(start, start + block), start, start + block, evict);
      start += block;
    }
  }

  /// New tokens enter a layer, the queries first..last attend, the policy evicts.
  void run(std::int64_t layer,
           const Ids& added,
           std::int64_t first,
           std::int64_t last,
           const Evict& evict) {
    auto seen = visible[static_cast<std::size_t>(layer)].accessor<bool, 3>();
    std::int64_t g = 0;
    for (Ids& held : rows[static_cast<std::size_t>(layer)]) {
      held.insert(held.end(), added.begin(), added.end());
      for (std::int64_t i = first; i < last; ++i)
        for (const std::int64_t j : held)
          if (j <= i) seen[g][i][j] = true;
      held = evict(g++, held);
    }
  }

  std::vector<std::vector<Ids>> rows;  // [L][G] positions at the end
  Visible visible;
};

/// Keeps the first 4 and the last 16 rows, as StreamingLLM does.
struct Streaming {
  std::vector<std::tuple<std::int64_t, std::int64_t, bool>> calls;

  static Ids left(const Ids& rows) {
    if (rows.size() <= 20) return rows;
    Ids out(rows.begin(), rows.begin() + 4);
    out.insert(out.end(), rows.end() - 16, rows.end());
    return out;
  }
  void evict(const CacheProbe& probe, LayerCache& cache) {
    calls.emplace_back(probe.row, probe.layer, probe.prefill);
    CHECK(probe.queries.size(1) == probe.query_positions.numel());
    if (cache.rows() > 20) cache.keep(tensor_of(left(range(0, cache.rows()))), probe.room);
  }
};

/// 12 rows in every KV head; even heads choose others than odd ones.
struct PerHead {
  static Ids left(std::int64_t group, const Ids& rows) {
    if (rows.size() <= 12) return rows;
    const auto first = rows.begin() + group % 2;
    Ids out(first, first + 11);
    out.push_back(rows.back());
    return out;
  }
  void evict(const CacheProbe& probe, LayerCache& cache) {
    if (cache.rows() <= 12) return;
    std::vector<at::Tensor> kept;
    for (std::int64_t g = 0; g < cache.keys().size(0); ++g)
      kept.push_back(tensor_of(left(g, range(0, cache.rows()))));
    cache.keep(at::stack(kept), probe.room);
  }
};

const Evict kNone = [](std::int64_t, const Ids& rows) { return rows; };
const Evict kStream = [](std::int64_t, const Ids& rows) { return Streaming::left(rows); };
const Evict kHeads = [](std::int64_t group, const Ids& rows) { return PerHead::left(group, rows); };

template <class Eviction>
void check(const CausalLm& lm,
           const EveryNth& policy,
           Placement placement,
           Eviction& eviction,
           const Evict& evict,
           const Ids& blocks) {
  constexpr std::int64_t kPrompt = 61;
  std::mt19937_64 random(21);
  const std::int64_t total = std::accumulate(blocks.begin(), blocks.end(), kPrompt);
  const Ids ids = random_ids(random, total, lm.config.vocab_size);
  const Expected expected(lm, kPrompt, blocks, policy, evict);
  const at::Tensor dense = dense_logits(lm, ids, expected.visible);
  KvCache cache = lm.make_cache(1, 5);
  at::Tensor logits = prefill_one(lm, Ids(ids.begin(), ids.begin() + kPrompt), cache, policy,
                                  placed(placement), eviction);
  CHECK(apart(logits, dense[kPrompt - 1]) < kTiny);
  auto next = ids.begin() + kPrompt;
  for (const std::int64_t block : blocks) {
    logits = append_one(lm, Ids(next, next + block), cache, eviction);
    next += block;
    INFO("after token " << next - ids.begin());
    CHECK(apart(logits, dense[next - ids.begin() - 1]) < kTiny);
  }
  for (std::int64_t l = 0; l < lm.layers(); ++l) {
    const LayerCache& held = cache.at(0, l);
    for (std::int64_t g = 0; g < lm.config.num_key_value_heads; ++g)
      CHECK(ids_of(held.per_head() ? held.positions()[g] : held.positions()) ==
            expected.rows[static_cast<std::size_t>(l)][static_cast<std::size_t>(g)]);
  }
}

const Ids kBlocks{1, 1, 1, 4, 1, 9, 1};
const EveryNth kPolicies[] = {{{}, {}, 1},   {{1}, {}, 3},     {{1}, {1}, 3},
                              {{0}, {0}, 2}, {{0, 2}, {0}, 2}, {{0, 1, 2}, {0, 1, 2}, 2},
                              {{2}, {2}, 40}};

TEST_CASE("selection and truncation equal a full cache with a mask, then in decode", "[model]") {
  const std::string name = GENERATE("tiny-untied", "tiny-llama3rope");
  const auto placement = GENERATE(Placement::kBefore, Placement::kAfter);
  const CausalLm lm = tiny(name);
  KeepCache keep;
  for (const EveryNth& policy : kPolicies) check(lm, policy, placement, keep, kNone, kBlocks);
}

TEST_CASE("a cache policy equals a mask, in prefill, decode and turns", "[model]") {
  const std::string name = GENERATE("tiny-untied", "tiny-llama3rope");
  const CausalLm lm = tiny(name);
  const EveryNth all{{}, {}, 1};
  Streaming streaming;
  check(lm, all, Placement::kBefore, streaming, kStream, kBlocks);
  std::size_t at = 0;
  for (std::size_t forward = 0; forward <= kBlocks.size(); ++forward) {
    for (std::int64_t l = 0; l < lm.layers(); ++l)
      CHECK(streaming.calls.at(at++) == std::tuple(std::int64_t{0}, l, forward == 0));
  }
  CHECK(streaming.calls.size() == at);
  PerHead heads;
  check(lm, all, Placement::kAfter, heads, kHeads, kBlocks);
}

TEST_CASE("distilling and a cache policy together equal a mask", "[model]") {
  const std::string name = GENERATE("tiny-untied", "tiny-llama3rope");
  const CausalLm lm = tiny(name);
  for (const EveryNth& policy : kPolicies) {
    Streaming streaming;
    check(lm, policy, Placement::kBefore, streaming, kStream, kBlocks);
    PerHead heads;
    if (policy.truncated.empty()) check(lm, policy, Placement::kBefore, heads, kHeads, kBlocks);
  }
}

TEST_CASE("what cannot be together says what to do", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  Streaming streaming;
  PerHead heads;
  KvCache a = lm.make_cache(), b = lm.make_cache(), c = lm.make_cache();
  const Ids ids = range(0, 60);
  CHECK(message_of<c10::ValueError>([&] {
          prefill_one(lm, ids, a, EveryNth{{1}, {}, 2}, placed(Placement::kAfter), streaming);
        }) ==
        "promptdistill: a stage selects from keys that are all in the cache; layer 1 lost some to "
        "a cache policy: put the stage before attention");
  CHECK(contains(message_of<c10::ValueError>([&] {
                   prefill_one(lm, ids, b, EveryNth{{1}, {}, 2}, placed(Placement::kAfter), heads);
                 }),
                 "put the stage before attention"));
  CHECK(
      contains(message_of<c10::ValueError>([&] {
                 prefill_one(lm, ids, c, EveryNth{{1}, {1}, 2}, placed(Placement::kBefore), heads);
               }),
               "cannot be truncated"));
}

TEST_CASE("a cache policy is asked row by row, and a row is the prompt alone", "[model]") {
  const CausalLm lm = tiny("tiny-llama3rope");
  std::mt19937_64 random(22);
  const Ids first = random_ids(random, 50, 96), second = random_ids(random, 18, 96);
  Ids both = first;
  both.insert(both.end(), second.begin(), second.end());
  const EveryNth policy{{2}, {}, 2};
  Streaming streaming;
  KvCache cache = lm.make_cache(2);
  const at::Tensor logits =
      lm.logits(lm.prefill(tensor_of(both), {50, 18}, cache, policy, PrefillOptions{}, streaming)
                    .last_hidden);
  CHECK(streaming.calls.size() == 10);
  CHECK(streaming.calls.at(0) == std::tuple(std::int64_t{0}, std::int64_t{0}, true));
  CHECK(streaming.calls.at(1) == std::tuple(std::int64_t{1}, std::int64_t{0}, true));
  const at::Tensor next = lm.logits(lm.append(tensor_of({4, 5}), {1, 1}, cache, streaming));
  for (const std::int64_t row : {0, 1}) {
    KvCache alone = lm.make_cache();
    Streaming own;
    CHECK(apart(logits[row], prefill_one(lm, row == 0 ? first : second, alone, policy, {}, own)) <
          kTiny);
    CHECK(apart(next[row], append_one(lm, {4 + row}, alone, own)) < kTiny);
    CHECK(apart(cache, row, alone, 0) < kTiny);
  }
}

}  // namespace
}  // namespace promptdistill::test
