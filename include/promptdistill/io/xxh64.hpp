#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// XXH64, the checksum of files that we write. It finds damage, not intent.
// https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace promptdistill::detail {

/// One hash of all bytes that were added, in any number of pieces.
class Xxh64 {
 public:
  void add(const void* data, std::size_t size) {
    if (size == 0) return;  // of a null pointer perhaps
    const auto* bytes = static_cast<const unsigned char*>(data);
    total_ += size;
    if (held_ > 0) {
      const std::size_t taken = size < kStripe - held_ ? size : kStripe - held_;
      std::memcpy(buffer_.data() + held_, bytes, taken);
      held_ += taken;
      bytes += taken;
      size -= taken;
      if (held_ < kStripe) return;
      add_stripe(buffer_.data());
      held_ = 0;
    }
    for (; size >= kStripe; bytes += kStripe, size -= kStripe) add_stripe(bytes);
    if (size > 0) std::memcpy(buffer_.data(), bytes, size);
    held_ = size;
  }

  std::uint64_t value() const {
    std::uint64_t hash = kPrime5;
    if (total_ >= kStripe) {
      hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) +
             std::rotl(lanes_[3], 18);
      for (const std::uint64_t lane : lanes_) hash = (hash ^ round(0, lane)) * kPrime1 + kPrime4;
    }
    hash += total_;
    const unsigned char* rest = buffer_.data();
    std::size_t left = held_;
    for (; left >= 8; rest += 8, left -= 8)
      hash = std::rotl(hash ^ round(0, read<std::uint64_t>(rest)), 27) * kPrime1 + kPrime4;
    if (left >= 4) {
      hash = std::rotl(hash ^ read<std::uint32_t>(rest) * kPrime1, 23) * kPrime2 + kPrime3;
      rest += 4;
      left -= 4;
    }
    for (; left > 0; ++rest, --left) hash = std::rotl(hash ^ *rest * kPrime5, 11) * kPrime1;
    hash = (hash ^ hash >> 33) * kPrime2;
    hash = (hash ^ hash >> 29) * kPrime3;
    return hash ^ hash >> 32;
  }

 private:
  static_assert(std::endian::native == std::endian::little);
  static constexpr std::size_t kStripe = 32;
  static constexpr std::uint64_t kPrime1 = 0x9E3779B185EBCA87, kPrime2 = 0xC2B2AE3D27D4EB4F,
                                 kPrime3 = 0x165667B19E3779F9, kPrime4 = 0x85EBCA77C2B2AE63,
                                 kPrime5 = 0x27D4EB2F165667C5;

  template <class T>
  static std::uint64_t read(const unsigned char* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
  }
  static std::uint64_t round(std::uint64_t lane, std::uint64_t input) {
    return std::rotl(lane + input * kPrime2, 31) * kPrime1;
  }
  void add_stripe(const unsigned char* stripe) {
    for (std::size_t i = 0; i < lanes_.size(); ++i)
      lanes_[i] = round(lanes_[i], read<std::uint64_t>(stripe + 8 * i));
  }

  std::array<std::uint64_t, 4> lanes_{kPrime1 + kPrime2, kPrime2, 0, 0 - kPrime1};
  std::array<unsigned char, kStripe> buffer_{};
  std::size_t held_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace promptdistill::detail
