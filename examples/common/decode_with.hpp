#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// How programs decode: by a CUDA graph where LibTorch has CUDA.

#include <functional>

#include "promptdistill/model/generate.hpp"

#ifdef PROMPTDISTILL_CUDA
#include "promptdistill/model/cuda/decode_graph.hpp"
#endif

namespace promptdistill::examples {

/// For GenerateOptions::decode_with.
inline std::function<DecodeStep(const CausalLm&, KvCache&)> fastest_decode() {
#ifdef PROMPTDISTILL_CUDA
  return cuda::decode_graph;
#else
  return {};
#endif
}

}  // namespace promptdistill::examples
