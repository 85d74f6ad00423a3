#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A distill policy of any type behind one type, for programs that choose at run time.

#include <cstdint>
#include <memory>
#include <utility>

#include "promptdistill/core/concepts.hpp"
#include "promptdistill/core/distill.hpp"

namespace promptdistill {

/// Holds any DistillPolicy; copies share it (it is immutable). Models DistillPolicy itself; empty,
/// it keeps every token.
class AnyDistiller {
 public:
  AnyDistiller() : AnyDistiller(NoDistill{}) {}

  template <DistillPolicy Policy>
  requires(!std::same_as<Policy, AnyDistiller>) AnyDistiller(Policy policy)
      : policy_(std::make_shared<Model<Policy>>(std::move(policy))) {}  // NOLINT: a conversion

  void check(std::int64_t layers, std::int64_t heads) const { policy_->check(layers, heads); }
  bool selects_at(std::int64_t layer) const { return policy_->selects_at(layer); }
  bool truncates_at(std::int64_t layer) const { return policy_->truncates_at(layer); }
  std::int64_t window(std::int64_t layer) const { return policy_->window(layer); }
  Selection select(const LayerProbe& probe) const { return policy_->select(probe); }

 private:
  struct Interface {
    virtual ~Interface() = default;
    virtual void check(std::int64_t layers, std::int64_t heads) const = 0;
    virtual bool selects_at(std::int64_t layer) const = 0;
    virtual bool truncates_at(std::int64_t layer) const = 0;
    virtual std::int64_t window(std::int64_t layer) const = 0;
    virtual Selection select(const LayerProbe& probe) const = 0;
  };

  template <class Policy>
  struct Model final : Interface {
    explicit Model(Policy policy) : held(std::move(policy)) {}
    void check(std::int64_t layers, std::int64_t heads) const override {
      held.check(layers, heads);
    }
    bool selects_at(std::int64_t layer) const override { return held.selects_at(layer); }
    bool truncates_at(std::int64_t layer) const override { return held.truncates_at(layer); }
    std::int64_t window(std::int64_t layer) const override { return held.window(layer); }
    Selection select(const LayerProbe& probe) const override { return held.select(probe); }
    Policy held;
  };

  std::shared_ptr<const Interface> policy_;
};
static_assert(DistillPolicy<AnyDistiller>);

}  // namespace promptdistill
