#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Which two tokens make which third, looked up once or more for every byte of a text.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace promptdistill::detail {

struct Merge {
  std::int32_t rank;  // the lowest goes first
  std::int32_t id;    // of the merged token
};

/// A hash table in one array, at most half full: a lookup is about one cache line.
class Merges {
 public:
  explicit Merges(std::size_t count = 0)
      : slots_(std::bit_ceil(2 * count + 2)), shift_(std::countl_zero(slots_.size() - 1)) {}

  /// A later merge of the same pair replaces the earlier. At most `count` pairs.
  void insert(std::int32_t left, std::int32_t right, Merge merge) {
    slots_[find_slot(key(left, right))] = {key(left, right), merge};
  }

  const Merge* find(std::int32_t left, std::int32_t right) const {
    const Slot& slot = slots_[find_slot(key(left, right))];
    return slot.key == kEmpty ? nullptr : &slot.merge;
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};  // of no pair: ids are below 2^31

  struct Slot {
    std::uint64_t key = kEmpty;
    Merge merge{};
  };

  static std::uint64_t key(std::int32_t left, std::int32_t right) {
    return (static_cast<std::uint64_t>(left) << 32) | static_cast<std::uint32_t>(right);
  }

  std::size_t find_slot(std::uint64_t key) const {
    // Fibonacci hashing: the upper bits of a product with 2^64 over the golden ratio.
    std::size_t slot = (key * 0x9E3779B97F4A7C15U) >> shift_;
    while (slots_[slot].key != key && slots_[slot].key != kEmpty)
      slot = (slot + 1) & (slots_.size() - 1);
    return slot;
  }

  std::vector<Slot> slots_;
  int shift_;
};

}  // namespace promptdistill::detail
