#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A decode step as a CUDA graph: the host launches it as one, where its kernels one by one take
// the host longer than the device. Needs LibTorch with CUDA and CUDA's headers, is empty without,
// and defines PROMPTDISTILL_HAS_DECODE_GRAPH with them.

// LibTorch for the CPU has the headers of its CUDA part, but for what its build would have written.
#if __has_include(<cuda_runtime_api.h>) && __has_include(<ATen/cuda/CUDAGraph.h>) && \
    __has_include(<c10/cuda/impl/cuda_cmake_macros.h>)
#define PROMPTDISTILL_HAS_DECODE_GRAPH 1

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "promptdistill/core/kv_cache.hpp"
#include "promptdistill/model/causal_lm.hpp"
#include "promptdistill/model/generate.hpp"
#include "promptdistill/model/merged_attention.hpp"

namespace promptdistill::cuda {

/// Decode steps over the cache of one prompt. Cache and model stay the caller's and must live as
/// long, the model's weights where they are. What the steps have written is in it as if
/// CausalLm::append had: a next turn may append to it, a step may follow. Storage that is full
/// grows by such an append, and the graph is captured anew: give the cache room for the answer.
///
/// Same arithmetic as append's but for the split of a long cache among the device's processors:
/// logits equal up to rounding.
class DecodeGraph {
 public:
  /// Whether a step of this model over this cache can be captured: one row of 16-bit numbers on a
  /// CUDA device with flash attention, no sliding window, no rotary embedding that depends on the
  /// request's length, no frozen rows.
  static bool fits([[maybe_unused]] const CausalLm& lm, [[maybe_unused]] const KvCache& cache) {
#ifdef PROMPTDISTILL_HAS_CUDA_FLASH_ATTENTION
    bool windows = false;
    for (const DecoderLayer& layer : lm.model.layers)
      windows = windows || layer.self_attn.sliding_window.has_value();
    return lm.device().is_cuda() && cache.batch() == 1 && cache.frozen_bytes() == 0 && !windows &&
           detail::has_flash_attention(lm.model.embed_tokens, lm.config.head_dim) &&
           !lm.rope.depends_on_length();
#else
    return false;
#endif
  }

  /// Throws c10::ValueError unless it fits and the cache holds a prompt.
  DecodeGraph(const CausalLm& lm, KvCache& cache) : lm_(lm), cache_(cache) {
    TORCH_CHECK_VALUE(fits(lm, cache),
                      "promptdistill: a decode graph needs one row of float16 or bfloat16 on CUDA, "
                      "LibTorch 2.11 or newer, a head size that flash attention has, no sliding "
                      "window, no rotary embedding that depends on the request's length and no "
                      "frozen rows in the cache");
    TORCH_CHECK_VALUE(cache.next_position(0) > 0 && cache.at(0, 0).rows() > 0,
                      "promptdistill: a decode graph goes on from a prompt, the cache is empty");
  }

  /// The logits that follow `token`: [V] float32, overwritten by the next step. Throws
  /// c10::IndexError on a token outside the vocabulary, c10::ValueError beyond the context.
  at::Tensor run(std::int64_t token) {
    const c10::InferenceMode inference;
    const c10::DeviceGuard device(lm_.device());
    TORCH_CHECK_INDEX(token >= 0 && token < lm_.config.vocab_size,
                      "promptdistill: token ids must be in [0, ", lm_.config.vocab_size, "), got ",
                      token);
    TORCH_CHECK_VALUE(cache_.next_position(0) < lm_.config.context(),
                      "promptdistill: a prompt must fit the model's context of ",
                      lm_.config.context(), " tokens");
    if (cache_.frozen_bytes() > 0 || !has_room()) {  // another document's may have come since
      graph_.reset();
      return lm_.logits(lm_.append(at::tensor({token}, at::kLong), {1}, cache_))[0];
    }
    if (!graph_ || state() != expected_) capture();
    ids_.fill_(token);
    graph_->replay();
    for (std::int64_t l = 0; l < lm_.layers(); ++l) cache_.at(0, l).add_rows(1);
    cache_.advance(0, 1);
    expected_ = state();
    return logits_[0];
  }

 private:
  bool has_room() const {
    for (std::int64_t l = 0; l < lm_.layers(); ++l) {
      const LayerCache& layer = cache_.at(0, l);
      if (layer.rows() == layer.capacity()) return false;
    }
    return true;
  }

  /// What a captured step relies on.
  struct State {
    std::vector<const void*> storage;  // of each layer's keys, values and positions
    std::vector<std::int64_t> sizes;   // their capacity and dimensions, and the rows so far
    std::int64_t next_position;
    bool operator==(const State&) const = default;
  };
  State state() const {
    State now{{}, {}, cache_.next_position(0)};
    for (std::int64_t l = 0; l < lm_.layers(); ++l) {
      const LayerCache& layer = cache_.at(0, l);
      for (const at::Tensor& part :
           {layer.key_storage(), layer.value_storage(), layer.position_storage()})
        now.storage.push_back(part.const_data_ptr());
      for (const std::int64_t size :
           {layer.capacity(), layer.position_storage().dim(), layer.rows()})
        now.sizes.push_back(size);
    }
    return now;
  }

  /// One for all graphs of a thread and device: LibTorch keeps memory for every stream that a
  /// matrix product ran on.
  static c10::cuda::CUDAStream capture_stream() {
    thread_local std::map<c10::DeviceIndex, c10::cuda::CUDAStream> streams;
    const c10::DeviceIndex device = c10::cuda::current_device();
    const auto known = streams.find(device);
    if (known != streams.end()) return known->second;
    return streams.emplace(device, c10::cuda::getStreamFromPool(false, device)).first->second;
  }

  void capture() {
    graph_.reset();
    const auto host = at::TensorOptions().dtype(at::kLong);
    const auto device = host.device(lm_.device());
    std::vector<at::Tensor> ends;
    for (std::int64_t l = 0; l < lm_.layers(); ++l)
      ends.push_back(at::tensor({std::int64_t{0}, cache_.at(0, l).capacity()}, host));
    key_ends_ = at::stack(ends).to(lm_.device(), at::kInt);
    query_ends_ = at::tensor({0, 1}, host).to(lm_.device(), at::kInt);
    const at::Tensor first_row = at::tensor(cache_.rows(), host).to(lm_.device());
    ids_ = at::zeros({1}, device);
    position_ = at::full({1}, cache_.next_position(0), device);
    row_ = first_row.clone();
    c10::cuda::getCurrentCUDAStream().synchronize();
    const c10::cuda::CUDAStreamGuard stream(capture_stream());
    step();  // once outside: libraries set themselves up
    row_.copy_(first_row);
    position_.fill_(cache_.next_position(0));
    stream.current_stream().synchronize();
    auto graph = std::make_unique<at::cuda::CUDAGraph>();
    const at::cuda::MempoolId_t pool = at::cuda::graph_pool_handle();
    graph->capture_begin(pool, cudaStreamCaptureModeThreadLocal);
    try {
      step();
    } catch (...) {
      try {
        graph->capture_end();
      } catch (...) {  // CUDA gave the capture up: the allocator must not go on with it
        const c10::DeviceIndex index = c10::cuda::current_device();
        c10::cuda::CUDACachingAllocator::endAllocateToPool(index, pool);
        c10::cuda::CUDACachingAllocator::releasePool(index, pool);
      }
      throw;
    }
    graph->capture_end();
    graph_ = std::move(graph);
  }

  /// One token through the model, all that changes from step to step read from the device.
  void step() {
    at::Tensor hidden = lm_.model.embed_tokens.index_select(0, ids_);
    const RotaryAngles angles =
        lm_.rope.at_positions(position_, lm_.dtype(), cache_.request_length(0));
    const at::Tensor rows = row_.add(1).to(at::kInt);  // with this token's
    for (std::int64_t l = 0; l < lm_.layers(); ++l) {
      const DecoderLayer& layer = lm_.model.layers[static_cast<std::size_t>(l)];
      const LayerCache& held = cache_.at(0, l);
      const at::Tensor x = layer.input_layernorm(hidden), row = row_.narrow(0, l, 1);
      held.key_storage().index_copy_(1, row, layer.self_attn.keys(x, angles).transpose(0, 1));
      held.value_storage().index_copy_(1, row, layer.self_attn.values(x).transpose(0, 1));
      const at::Tensor& positions = held.position_storage();
      positions.index_copy_(
          -1, row, positions.dim() == 2 ? position_.expand({positions.size(0), 1}) : position_);
      hidden = layer.finish(hidden, attend(layer.self_attn.queries(x, angles), held, key_ends_[l],
                                           rows.narrow(0, l, 1)));
    }
    logits_ = lm_.logits(lm_.model.norm(hidden));
    row_.add_(1);
    position_.add_(1);
  }

  /// Over the first `rows` of the storage: the kernel for sequences of different lengths takes
  /// their number from the device.
  at::Tensor attend([[maybe_unused]] const at::Tensor& queries,  // [1, H, D]
                    [[maybe_unused]] const LayerCache& held,
                    [[maybe_unused]] const at::Tensor& key_ends,      // [2] int32
                    [[maybe_unused]] const at::Tensor& rows) const {  // [1] int32 -> [1, H * D]
#ifdef PROMPTDISTILL_HAS_CUDA_FLASH_ATTENTION
    return std::get<0>(at::_flash_attention_forward(queries, held.key_storage().transpose(0, 1),
                                                    held.value_storage().transpose(0, 1),
                                                    query_ends_, key_ends, 1, held.capacity(), 0.0,
                                                    false, false, std::optional<double>(),
                                                    std::nullopt, std::nullopt, rows))
        .reshape({1, -1});
#else
    return {};
#endif
  }

  const CausalLm& lm_;
  KvCache& cache_;
  std::unique_ptr<at::cuda::CUDAGraph> graph_;
  State expected_;                    // state() when it last ran
  at::Tensor ids_, position_;         // [1] int64
  at::Tensor row_;                    // [L] int64: where the next token's goes
  at::Tensor query_ends_, key_ends_;  // [2] and [L, 2] int32
  at::Tensor logits_;                 // [1, V]
};

/// For GenerateOptions::decode_with: steps of a DecodeGraph where it fits.
inline DecodeStep decode_graph(const CausalLm& lm, KvCache& cache) {
  if (!DecodeGraph::fits(lm, cache)) return {};
  return [graph = std::make_shared<DecodeGraph>(lm, cache)](std::int64_t token) {
    return graph->run(token);
  };
}

}  // namespace promptdistill::cuda

#endif
