#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Chooses the next token: greedy, or seeded sampling with temperature, top-k and top-p; either with
// a repetition penalty.

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace promptdistill {

/// Temperature 0 is greedy. top_k 0, top_p 1 and repetition_penalty 1 are off. The penalty applies
/// first, greedy or not, then the temperature, top-k and top-p (as Hugging Face does).
struct SamplingOptions {
  double temperature = 0;
  std::int64_t top_k = 0;
  double top_p = 1;
  std::uint64_t seed = 0;
  /// Logits of tokens seen before are divided by it where positive, multiplied where negative
  /// (arXiv 1909.05858, section 4.1).
  double repetition_penalty = 1;
};

/// Holds one request's random state: the same seed and logits give the same tokens, on every
/// device.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options)
      : options_(options), generator_(at::detail::createCPUGenerator(options.seed)) {
    TORCH_CHECK_VALUE(
        options.temperature >= 0 && options.temperature < std::numeric_limits<double>::infinity(),
        "promptdistill: the temperature must be at least 0, got ", options.temperature);
    TORCH_CHECK_VALUE(options.top_k >= 0, "promptdistill: top-k must be at least 0 (0: off), got ",
                      options.top_k);
    TORCH_CHECK_VALUE(options.top_p > 0 && options.top_p <= 1,
                      "promptdistill: top-p must be above 0 and at most 1, got ", options.top_p);
    TORCH_CHECK_VALUE(options.repetition_penalty > 0 &&
                          options.repetition_penalty < std::numeric_limits<double>::infinity(),
                      "promptdistill: the repetition penalty must be above 0 (1: off), got ",
                      options.repetition_penalty);
  }

  /// `raw` [V] float32, left as it is; `seen`: the tokens in [0, V) that the penalty is for. Throws
  /// c10::ValueError where the logits hold NaN or no finite best one, before anything is drawn.
  std::int64_t operator()(const at::Tensor& raw, at::IntArrayRef seen = {}) {
    TORCH_CHECK_VALUE(raw.dim() == 1 && raw.numel() > 0, "promptdistill: logits must be [V], got ",
                      raw.sizes());
    const at::Tensor logits = penalised(raw, seen);
    const double best = logits.max().item<double>();  // NaN where there is one
    TORCH_CHECK_VALUE(!std::isnan(best),
                      "promptdistill: logits must be numbers, got NaN; the checkpoint's weights or "
                      "the dtype overflow");
    TORCH_CHECK_VALUE(std::isfinite(best), "promptdistill: the highest logit must be finite, got ",
                      best);
    if (options_.temperature == 0) return logits.argmax().item<std::int64_t>();
    // The best one becomes 0 first: a tiny temperature then makes no infinity of it.
    auto [sorted, order] = logits.to(at::kCPU)
                               .to(at::kDouble)
                               .sub(best)
                               .div(options_.temperature)
                               .sort(-1, /*descending=*/true);
    if (options_.top_k > 0) {
      const std::int64_t k = std::min(options_.top_k, sorted.numel());
      sorted = sorted.narrow(0, 0, k);
    }
    at::Tensor shares = sorted.softmax(-1);
    if (options_.top_p < 1) {
      // A token stays while those before it have not reached top-p: the one that crosses it is the
      // last.
      const std::int64_t kept =
          shares.cumsum(-1).sub(shares).lt(options_.top_p).sum().item<std::int64_t>();
      shares = shares.narrow(0, 0, std::max<std::int64_t>(kept, 1));
    }
    return order[shares.multinomial(1, false, generator_).item<std::int64_t>()]
        .item<std::int64_t>();
  }

 private:
  at::Tensor penalised(const at::Tensor& logits, at::IntArrayRef seen) const {
    const double penalty = options_.repetition_penalty;
    if (penalty == 1 || seen.empty()) return logits;
    const at::Tensor ids = at::tensor(seen, at::kLong).to(logits.device());
    const at::Tensor was = logits.gather(0, ids);
    return logits.scatter(0, ids, at::where(was.lt(0), was.mul(penalty), was.div(penalty)));
  }

  SamplingOptions options_;
  at::Generator generator_;
};

}  // namespace promptdistill
