#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Lets only some query heads vote, chosen per layer: retrieval heads find what others drown.

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "promptdistill/core/concepts.hpp"

namespace promptdistill {

/// Voting query heads per layer; a layer that is not named lets all heads vote.
using HeadMap = std::map<std::int64_t, std::vector<std::int64_t>>;

/// The mean over the voting heads of the scores that `Raw` gives each head.
template <HeadScorer Raw>
class HeadWeighted {
 public:
  explicit HeadWeighted(Raw raw = Raw(), HeadMap heads = {})
      : raw_(std::move(raw)), heads_(std::move(heads)) {
    for (const auto& [layer, voters] : heads_) {
      TORCH_CHECK_VALUE(layer >= 0 && !voters.empty(), "promptdistill: layer ", layer,
                        " must exist and name at least one voting head");
    }
  }

  std::int64_t tail() const { return raw_.tail(); }

  /// Throws c10::IndexError if a named head is not one of the model's `heads` query heads.
  void check_heads(std::int64_t heads) const {
    for (const auto& [layer, voters] : heads_) {
      for (const std::int64_t head : voters) {
        TORCH_CHECK_INDEX(
            head >= 0 && head < heads,
            "promptdistill: a voting head must exist: the model has query heads 0 to ", heads - 1,
            ", got ", head, " for layer ", layer);
      }
    }
  }

  at::Tensor score(const LayerProbe& probe) const {  // [T]
    check_heads(probe.query_heads());
    const at::Tensor scores = raw_.head_scores(probe);
    const auto found = heads_.find(probe.layer);
    if (found == heads_.end()) return scores.mean(0);
    return scores.index_select(0, at::tensor(found->second, scores.options().dtype(at::kLong)))
        .mean(0);
  }

 private:
  Raw raw_;
  HeadMap heads_;
};

}  // namespace promptdistill
