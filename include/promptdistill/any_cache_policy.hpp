#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A cache policy of any type behind one type, for programs that choose at run time.

#include <concepts>
#include <memory>
#include <utility>

#include "promptdistill/core/concepts.hpp"
#include "promptdistill/core/distill.hpp"

namespace promptdistill {

/// Holds any CachePolicy, alone: it is move-only, since a policy may hold a request's state. Models
/// CachePolicy itself; by default it evicts nothing.
class AnyCachePolicy {
 public:
  AnyCachePolicy() : AnyCachePolicy(KeepCache{}) {}

  template <CachePolicy Policy>
  requires(!std::same_as<Policy, AnyCachePolicy>) AnyCachePolicy(Policy policy)
      : policy_(std::make_unique<Model<Policy>>(std::move(policy))) {}  // NOLINT: a conversion

  void evict(const CacheProbe& probe, LayerCache& cache) { policy_->evict(probe, cache); }
  bool prompt_only() const { return policy_->prompt_only(); }

 private:
  struct Interface {
    virtual ~Interface() = default;
    virtual void evict(const CacheProbe& probe, LayerCache& cache) = 0;
    virtual bool prompt_only() const = 0;
  };

  template <class Policy>
  struct Model final : Interface {
    explicit Model(Policy policy) : held(std::move(policy)) {}
    void evict(const CacheProbe& probe, LayerCache& cache) override { held.evict(probe, cache); }
    bool prompt_only() const override { return evicts_prompt_only(held); }
    Policy held;
  };

  std::unique_ptr<Interface> policy_;
};
static_assert(CachePolicy<AnyCachePolicy>);

}  // namespace promptdistill
