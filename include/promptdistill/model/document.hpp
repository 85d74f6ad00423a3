#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A document that is read once and asked any number of times.

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "promptdistill/core/concepts.hpp"
#include "promptdistill/core/kv_cache.hpp"
#include "promptdistill/io/save_safetensors.hpp"
#include "promptdistill/model/causal_lm.hpp"
#include "promptdistill/model/generate.hpp"

namespace promptdistill {

/// The first layer that a policy selects at: where a document that is asked by it is best read to.
/// The last layer where it selects nowhere.
template <DistillPolicy Policy>
std::int64_t first_stage(const Policy& policy, std::int64_t layers) {
  std::int64_t layer = 0;
  while (layer + 1 < layers && !policy.selects_at(layer)) ++layer;
  return layer;
}

/// The beginning of a prompt, brought to the input of a layer: nothing up to there depends on what
/// follows. Each question runs its own tokens to that layer, selects its own tokens of the whole
/// and finishes on those, as if the two had been one prompt: same kept positions, logits equal up
/// to rounding (attention sums over the document and what follows it in another order).
///
/// A move-only value; fork() shares all that it holds. const methods may run from several threads.
/// The model must outlive it.
class Document {
 public:
  /// Runs `ids` [T] int64 through the layers before `layer`. `max_total_tokens`: of the document,
  /// all that extends it, a question and its answer; rotary embeddings that depend on the length
  /// (longrope, dynamic) are chosen by it, once and for all. Throws c10::IndexError where the layer
  /// is not the model's, c10::ValueError where T exceeds max_total_tokens or this the context, and
  /// what CausalLm::prefill throws of ids.
  static Document read(const CausalLm& lm,
                       const at::Tensor& ids,
                       std::int64_t layer,
                       std::int64_t max_total_tokens,
                       PrefillOptions options = {}) {
    TORCH_CHECK_INDEX(layer >= 0 && layer < lm.layers(),
                      "promptdistill: a document is read to one of the model's layers 0 to ",
                      lm.layers() - 1, ", got ", layer);
    TORCH_CHECK_VALUE(max_total_tokens <= lm.config.context(),
                      "promptdistill: a document and all that follows it must fit the model's "
                      "context of ",
                      lm.config.context(), " tokens, got a total of ", max_total_tokens);
    check_total(0, ids.numel(), max_total_tokens);
    options.max_new_tokens = max_total_tokens - ids.numel();
    Document document(lm, max_total_tokens);
    document.partial_ = lm.begin_prefill(ids, {ids.numel()}, document.cache_, options);
    lm.run_to(document.partial_, layer, document.cache_, options);
    lm.append_layer(document.partial_, document.cache_, options);
    document.cache_.freeze();
    return document;
  }

  /// From here on the keys and values of the layers before layer() are stored in int8, with a scale
  /// for each row and head: about half the bytes in 16 bits. The layer that selects keeps its keys
  /// as they are; what a question's own tokens see of the layers before it is off by up to 1/254 of
  /// a row's largest number, so that other tokens may be kept. Forks made before do not
  /// change. Holds both until it is done.
  void to_int8() {
    const c10::InferenceMode guard;
    KvCache cache = cache_.fork();  // all of it or nothing
    for (std::int64_t l = 0; l < partial_.layer; ++l) cache.at(0, l).frozen_to_int8();
    cache_ = std::move(cache);
    int8_ = true;
  }
  bool is_int8() const { return int8_; }

  const CausalLm& model() const { return *lm_; }
  std::int64_t tokens() const { return partial_.frame.tokens(); }
  std::int64_t layer() const { return partial_.layer; }
  std::int64_t max_total_tokens() const { return max_total_tokens_; }
  const at::Tensor& ids() const { return partial_.ids; }  // [T] int64, on the model's device

  /// Keys and values of layers 0 to layer(), and the hidden states and ids of all tokens. Forks
  /// hold the same bytes, not further ones.
  std::size_t bytes() const {
    return cache_.bytes() + partial_.frame.hidden().nbytes() + partial_.ids.nbytes() +
           partial_.frame.positions().nbytes();
  }

  /// Shares what there is; each may then be extended by itself.
  Document fork() const {
    Document copy(*lm_, max_total_tokens_);
    copy.partial_ = partial_;
    copy.cache_ = cache_.fork();
    copy.int8_ = int8_;
    return copy;
  }

  /// More tokens behind those it has: what was asked and answered, say, for the next question to
  /// select from. Throws as read does, and then is as it was.
  void extend(const at::Tensor& ids, const PrefillOptions& options = {}) {  // [T] int64
    check_total(tokens(), ids.numel(), max_total_tokens_);
    KvCache cache = cache_.fork();
    PartialPrefill partial = lm_->extend(partial_, ids, {ids.numel()}, cache, options);
    for (std::int64_t l = 0; l <= partial_.layer; ++l)
      cache.at(0, l).freeze(int8_ && l < partial_.layer);
    partial_ = std::move(partial);
    cache_ = std::move(cache);
  }

  /// CausalLm::prefill of the document followed by each row of `ids`, from where the document
  /// stands. The rows share its frozen keys and values. A next turn goes on from `cache` by
  /// CausalLm::append, at the true positions. Throws c10::ValueError where the policy selects
  /// before layer(), where a row with the cache's room exceeds max_total_tokens(), and what prefill
  /// throws; the cache is then as it was.
  template <DistillPolicy Policy = NoDistill>
  PrefillResult prefill(const at::Tensor& ids,                     // [S] int64
                        const std::vector<std::int64_t>& lengths,  // [B], sum S
                        KvCache& cache,
                        const Policy& policy = {},
                        const PrefillOptions& options = {}) const {
    const c10::InferenceMode guard;
    TORCH_CHECK_VALUE(cache.layers() == lm_->layers() &&
                          cache.batch() == static_cast<std::int64_t>(lengths.size()),
                      "promptdistill: the cache must have the model's ", lm_->layers(),
                      " layers and the batch's ", lengths.size(), " rows, got ", cache.layers(),
                      " and ", cache.batch());
    TORCH_CHECK_VALUE(!lengths.empty(), "promptdistill: at least one question must be there");
    std::vector<KvCache> rows;
    std::vector<at::Tensor> row_ids, hidden, positions;
    PartialPrefill partial{{}, partial_.frame, partial_.layer, {}, partial_.appended};
    std::vector<std::int64_t> offsets{0};
    for (std::size_t b = 0; b < lengths.size(); ++b) {
      TORCH_CHECK_VALUE(cache.next_position(static_cast<std::int64_t>(b)) == 0 &&
                            cache.at(static_cast<std::int64_t>(b), 0).rows() == 0,
                        "promptdistill: a question must start from an empty cache, row ", b,
                        " is not");
      check_total(tokens(), lengths[b], max_total_tokens_);
      check_total(tokens() + lengths[b], options.max_new_tokens.value_or(cache.room()),
                  max_total_tokens_);
      rows.push_back(cache_.fork(cache.room()));
      row_ids.push_back(partial_.ids);
      hidden.push_back(partial_.frame.hidden());
      positions.push_back(partial_.frame.positions());
      offsets.push_back(offsets.back() + tokens());
      partial.request_lengths.push_back(partial_.request_lengths[0]);
    }
    partial.ids = joined(row_ids);
    partial.frame = TokenFrame(joined(hidden), joined(positions), std::move(offsets));
    KvCache filled = KvCache::join(std::move(rows));
    partial = lm_->extend(partial, ids, lengths, filled, options);
    PrefillResult result = lm_->finish_prefill(std::move(partial), filled, policy, options);
    cache = std::move(filled);
    return result;
  }

  /// generate() of the document followed by a question, from where the document stands. Throws what
  /// prefill and the sampler throw.
  template <DistillPolicy Policy = NoDistill>
  GenerateResult ask(const std::vector<std::int64_t>& question,
                     KvCache& cache,
                     const Policy& policy = {},
                     const GenerateOptions& options = {}) const {
    detail::check_request(question, options);
    const at::Tensor own = partial_.ids.to(at::kCPU).contiguous();
    std::vector<std::int64_t> prompt(own.const_data_ptr<std::int64_t>(),
                                     own.const_data_ptr<std::int64_t>() + own.numel());
    prompt.insert(prompt.end(), question.begin(), question.end());
    return generate_after(
        [&] {
          return prefill(at::tensor(question, at::kLong), {std::ssize(question)}, cache, policy,
                         options.prefill_with_room());
        },
        *lm_, prompt, cache, options);
  }

  /// A safetensors file that load maps: written beside `path`, synced and renamed, with a checksum.
  /// `checkpoint`: its fingerprint(folder). Throws SaveError; what was at `path` is then untouched.
  void save(const std::filesystem::path& path, const std::string& checkpoint) const {
    const c10::InferenceMode guard;
    std::map<std::string, at::Tensor> tensors{{"ids", partial_.ids},
                                              {"hidden", partial_.frame.hidden()}};
    for (std::int64_t l = 0; l <= partial_.layer; ++l) {
      const auto add = [&](const char* what, at::Tensor CacheRows::*of) {
        std::vector<at::Tensor> pieces;
        for (const CacheRows& part : cache_.at(0, l).frozen()) pieces.push_back(part.*of);
        tensors.emplace(name_of(what, l), pieces.size() == 1 ? pieces[0] : at::cat(pieces, 1));
      };
      add("keys", &CacheRows::keys);
      add("values", &CacheRows::values);
      if (!int8_ || l == partial_.layer) continue;
      add("key_scales", &CacheRows::key_scales);
      add("value_scales", &CacheRows::value_scales);
    }
    save_safetensors(path, std::move(tensors),
                     {{"format", kFormat},
                      {"version", std::to_string(kVersion)},
                      {"checkpoint", checkpoint},
                      {"cache", int8_ ? "int8" : "whole"},
                      {"layer", std::to_string(partial_.layer)},
                      {"max_total_tokens", std::to_string(max_total_tokens_)}});
  }

  /// Throws LoadError where the file is cut short, altered, of a newer version, of another
  /// checkpoint or dtype. On the CPU the document's tensors are views of the file, which must not
  /// shrink while it lives (save replaces it, which is no harm).
  static Document load(const CausalLm& lm,
                       const std::filesystem::path& path,
                       const std::string& checkpoint) {
    const c10::InferenceMode guard;
    const SafetensorsFile file = SafetensorsFile::open(path);
    const auto setting = [&](const char* key) {
      const auto found = file.metadata().find(key);
      if (found == file.metadata().end())
        throw LoadError(path, std::string("setting ") + key, "is missing");
      return found->second;
    };
    const auto number = [&](const char* key) {
      const std::string text = setting(key);
      if (text.empty() || text.size() > 15 ||
          text.find_first_not_of("0123456789") != std::string::npos)
        throw LoadError(path, std::string("setting ") + key,
                        "must be a whole number, got '" + text + "'");
      return std::stoll(text);
    };
    if (!file.metadata().contains("format") || setting("format") != kFormat)
      throw LoadError(path, "the file", "is not a document that promptdistill saved");
    if (number("version") != kVersion)
      throw LoadError(path, "the file",
                      "has version " + setting("version") + ", this promptdistill reads version " +
                          std::to_string(kVersion) + ": read the document again");
    if (setting("checkpoint") != checkpoint)
      throw LoadError(path, "the document",
                      "was read by another checkpoint (" + setting("checkpoint") +
                          "), this one is " + checkpoint + ": read it again");
    std::map<std::string, at::Tensor> tensors = checked_tensors(file);
    const std::int64_t layer = number("layer"), total = number("max_total_tokens");
    const auto expect = [&](bool right, const char* subject, const std::string& problem) {
      if (!right) throw LoadError(path, subject, problem);
    };
    expect(layer < lm.layers(), "setting layer", "must be one of the model's");
    const std::string cache = setting("cache");
    expect(cache == "int8" || cache == "whole", "setting cache", "must be int8 or whole");
    expect(total <= lm.config.context(), "setting max_total_tokens",
           "must be within the model's context");
    const auto take = [&](const std::string& name, at::ScalarType dtype,
                          const std::vector<std::int64_t>& shape) {
      const auto found = tensors.find(name);
      if (found == tensors.end()) throw LoadError(path, "tensor " + name, "is missing");
      const at::Tensor& tensor = found->second;
      if (tensor.scalar_type() != dtype)
        throw LoadError(path, "tensor " + name,
                        std::string("must be ") + at::toString(dtype) + " as the model, got " +
                            at::toString(tensor.scalar_type()) + ": run the model in that dtype");
      for (std::size_t i = 0; i < shape.size(); ++i) {
        if (tensor.dim() != std::ssize(shape) ||
            (shape[i] >= 0 && tensor.size(static_cast<std::int64_t>(i)) != shape[i]))
          throw LoadError(path, "tensor " + name, "does not fit the model and the document");
      }
      return tensor.to(lm.device());
    };
    Document document(lm, total);
    const at::Tensor ids = take("ids", at::kLong, {-1});
    const std::int64_t tokens = ids.numel();
    expect(tokens >= 1 && tokens <= total, "tensor ids", "must be 1 to max_total_tokens long");
    PrefillOptions options;
    options.max_new_tokens = total - tokens;
    try {
      document.partial_ = lm.begin_prefill(ids, {tokens}, document.cache_, options);
    } catch (const c10::IndexError&) {
      throw LoadError(path, "tensor ids", "must be token ids of the model");
    }
    const at::Tensor& positions = document.partial_.frame.positions();
    for (std::int64_t l = 0; l <= layer; ++l) {
      const std::int64_t groups = lm.config.num_key_value_heads;
      const std::vector<std::int64_t> shape{groups, tokens, lm.config.head_dim};
      const bool int8 = cache == "int8" && l < layer;
      const at::ScalarType dtype = int8 ? at::kChar : lm.dtype();
      CacheRows rows{take(name_of("keys", l), dtype, shape),
                     take(name_of("values", l), dtype, shape), positions};
      if (int8) {
        rows.key_scales = take(name_of("key_scales", l), at::kFloat, {groups, tokens});
        rows.value_scales = take(name_of("value_scales", l), at::kFloat, {groups, tokens});
      }
      document.cache_.at(0, l) = LayerCache::of(std::move(rows));
    }
    document.int8_ = cache == "int8";
    document.partial_.frame = document.partial_.frame.with_hidden(
        take("hidden", lm.dtype(), {tokens, lm.config.hidden_size}));
    document.partial_.layer = layer;
    document.partial_.appended = true;
    return document;
  }

 private:
  static constexpr const char* kFormat = "promptdistill-document";
  static constexpr std::int64_t kVersion = 1;

  Document(const CausalLm& lm, std::int64_t max_total_tokens)
      : lm_(&lm),
        max_total_tokens_(max_total_tokens),
        partial_{{}, TokenFrame({}, at::zeros({1}, at::kLong), {0, 1}), 0, {}, false},
        cache_(lm.make_cache()) {}

  /// `tokens` are at most `most` already.
  static void check_total(std::int64_t tokens, std::int64_t more, std::int64_t most) {
    TORCH_CHECK_VALUE(more >= 0,
                      "promptdistill: the number of tokens that follow must not be negative, got ",
                      more);
    TORCH_CHECK_VALUE(more <= most - tokens,
                      "promptdistill: a document, what follows it and the answer must stay within "
                      "the max_total_tokens of ",
                      most, " that it was read for, got ", more, " behind ", tokens);
  }
  static std::string name_of(const char* what, std::int64_t layer) {
    return "layers." + std::to_string(layer) + "." + what;
  }
  static at::Tensor joined(const std::vector<at::Tensor>& rows) {
    return rows.size() == 1 ? rows[0] : at::cat(rows);
  }

  const CausalLm* lm_;
  std::int64_t max_total_tokens_;
  PartialPrefill partial_;  // of one row
  KvCache cache_;           // its layers 0 to partial_.layer, frozen
  bool int8_ = false;       // those before partial_.layer
};

}  // namespace promptdistill
