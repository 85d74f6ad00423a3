#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Random shapes and tensors from one seed, and a check of an error's type and words.

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "promptdistill/promptdistill.hpp"
#include "tests/catch.hpp"

namespace promptdistill::test {

using Ids = std::vector<std::int64_t>;

inline at::Tensor longs(const Ids& values) { return at::tensor(values, at::kLong); }

inline Ids to_ids(const at::Tensor& tensor) {
  const at::Tensor host = tensor.to(at::kCPU).contiguous();
  return {host.const_data_ptr<std::int64_t>(), host.const_data_ptr<std::int64_t>() + host.numel()};
}

/// Fails unless `call` throws exactly an Error whose message holds every one of `words`.
template <class Error, class Call>
void check_throws(Call&& call, const std::vector<std::string>& words) {
  std::string got;
  try {
    std::forward<Call>(call)();
    got = "no exception";
  } catch (const Error& error) {
    const std::string message = error.what_without_backtrace();
    for (const std::string& word : words) {
      INFO("message: " << message);
      INFO("expected: " << word);
      CHECK(message.find(word) != std::string::npos);
    }
    return;
  } catch (const std::exception& error) {
    got = error.what();
  }
  INFO("expected: " << (words.empty() ? "" : words.front()));
  INFO("got: " << got);
  CHECK(false);
}

template <class Call>
void check_value_error(Call&& call, const std::vector<std::string>& words) {
  check_throws<c10::ValueError>(std::forward<Call>(call), words);
}
template <class Call>
void check_index_error(Call&& call, const std::vector<std::string>& words) {
  check_throws<c10::IndexError>(std::forward<Call>(call), words);
}

/// Draws from one seed; single-threaded, so that a run repeats.
class Random {
 public:
  explicit Random(std::uint64_t seed)
      : engine_(seed), tensors_(at::make_generator<at::CPUGeneratorImpl>(seed)) {
    at::set_num_threads(1);
  }

  std::int64_t between(std::int64_t low, std::int64_t high) {  // both included
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }

  at::Tensor normal(at::IntArrayRef shape) { return at::randn(shape, tensors_); }

  Ids lengths(std::int64_t batch, std::int64_t longest) {
    Ids result;
    for (std::int64_t b = 0; b < batch; ++b) result.push_back(between(1, longest));
    return result;
  }

  /// `count` of the numbers 0 to tokens - 1, ascending; the last among them.
  Ids subset(std::int64_t tokens, std::int64_t count) {
    Ids all;
    for (std::int64_t i = 0; i + 1 < tokens; ++i) all.push_back(i);
    std::shuffle(all.begin(), all.end(), engine_);
    all.resize(static_cast<std::size_t>(count - 1));
    all.push_back(tokens - 1);
    std::sort(all.begin(), all.end());
    return all;
  }

  /// A retention of rows of these lengths that keeps `count` tokens of each, or any number.
  Retention retention(const Ids& lengths, std::int64_t count = 0) {
    Ids indices, offsets{0};
    for (const std::int64_t length : lengths) {
      const Ids row = subset(length, count > 0 ? count : between(1, length));
      indices.insert(indices.end(), row.begin(), row.end());
      offsets.push_back(static_cast<std::int64_t>(indices.size()));
    }
    return Retention(longs(indices), offsets, lengths);
  }

 private:
  std::mt19937_64 engine_;
  at::Generator tensors_;
};

inline Ids kept_lengths(const Retention& retention) {
  Ids result;
  for (std::int64_t b = 0; b < retention.batch(); ++b) result.push_back(retention.kept(b));
  return result;
}

}  // namespace promptdistill::test
