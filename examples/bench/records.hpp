#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What one run of one method leaves: a line of the results file.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace promptdistill::examples {

/// Stage layers, and the tokens that went on from each.
using KeptTokens = std::vector<std::pair<std::int64_t, std::int64_t>>;

/// A timed run. Runs of one repetition and one process were made in turn: those are compared.
struct TimeRecord {
  std::string suite;   // methods or retention
  std::string method;  // as parse_method reads it
  std::int64_t length = 0, repetition = 0, process = 0;
  double first_token = 0, decode = 0;  // seconds; of the tokens after the first
  std::int64_t decoded = 0;            // tokens after the first
  std::int64_t cache_bytes = 0;        // after prefill, room for the answer included
  std::vector<std::int64_t> rows_after_prefill, rows_at_end;  // of every layer's cache
  KeptTokens kept;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TimeRecord,
                                   suite,
                                   method,
                                   length,
                                   repetition,
                                   process,
                                   first_token,
                                   decode,
                                   decoded,
                                   cache_bytes,
                                   rows_after_prefill,
                                   rows_at_end,
                                   kept)

/// A run in a process of its own, after a warm-up of 16 tokens: bytes above what it then held.
struct MemoryRecord {
  std::string method;
  std::int64_t length = 0;
  std::int64_t tensor_peak = 0;  // storage of tensors, on the device where there is one
  std::int64_t rss_peak = 0;     // in RAM
  std::int64_t rss_in_all = 0;   // the same, with what it held before
  std::int64_t device_peak = 0;  // of the device's caching allocator; 0 on the CPU
  std::int64_t cache_bytes = 0;  // after prefill
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(
    MemoryRecord, method, length, tensor_peak, rss_peak, rss_in_all, device_peak, cache_bytes)

/// Prompts that were run one after another, and then packed into one batch.
struct BatchRecord {
  std::string method;
  std::vector<std::int64_t> lengths;  // of the prompts
  std::int64_t repetition = 0, process = 0;
  double one_by_one = 0, packed = 0;  // seconds, prefill and decode of all
  std::int64_t tokens = 0;            // decoded by either, of all rows together
  std::int64_t equal_rows = 0;        // whose tokens are the same both ways
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(
    BatchRecord, method, lengths, repetition, process, one_by_one, packed, tokens, equal_rows)

/// A question about a document that is there already, and the same prompt from nothing.
struct DocumentRecord {
  std::string method;
  std::int64_t length = 0;  // of the document
  std::int64_t repetition = 0, process = 0;
  double read = 0;                  // seconds that the document took, once
  double first_token = 0;           // seconds to the question's
  double from_nothing = 0;          // the same of document and question in one prompt
  double decode = 0;                // seconds of the tokens after the first
  std::int64_t decoded = 0;         // those tokens
  std::int64_t document_bytes = 0;  // that all questions share
  std::int64_t own_bytes = 0;       // a question's own, at its end
  std::int64_t equal_tokens = 0;    // that answer both prompts alike, from the first on
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DocumentRecord,
                                   method,
                                   length,
                                   repetition,
                                   process,
                                   read,
                                   first_token,
                                   from_nothing,
                                   decode,
                                   decoded,
                                   document_bytes,
                                   own_bytes,
                                   equal_tokens)

/// The machine's read bandwidth, taken before a length's first run.
struct BandwidthRecord {
  double bytes_per_second = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(BandwidthRecord, bytes_per_second)

struct Records {
  std::vector<TimeRecord> times;
  std::vector<MemoryRecord> memory;
  std::vector<BatchRecord> batches;
  std::vector<DocumentRecord> documents;
  std::vector<BandwidthRecord> bandwidth;
  std::int64_t processes = 0;  // that have added to them
};

}  // namespace promptdistill::examples
