#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The records of a benchmark, kept as they come: {kind: record} a line.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "examples/bench/records.hpp"
#include "examples/common/json_lines.hpp"

namespace promptdistill::examples {

class ResultsFile {
 public:
  /// Without a folder nothing is kept.
  ResultsFile() = default;

  /// What `folder` holds already, and all that is added. Throws what JsonLines throws.
  ResultsFile(const std::filesystem::path& folder, const nlohmann::json& header)
      : lines_(folder, header, [this](const nlohmann::json& line) { read(line); }) {
    lines_.write({{"process", ++records_.processes}});
  }

  const Records& records() const { return records_; }

  void add(const TimeRecord& record) { add("time", record, records_.times); }
  void add(const MemoryRecord& record) { add("memory", record, records_.memory); }
  void add(const BatchRecord& record) { add("batch", record, records_.batches); }
  void add(const DocumentRecord& record) { add("document", record, records_.documents); }
  void add(const BandwidthRecord& record) { add("bandwidth", record, records_.bandwidth); }

 private:
  template <class Record>
  void add(const char* kind, const Record& record, std::vector<Record>& records) {
    lines_.write({{kind, record}});
    records.push_back(record);
  }

  void read(const nlohmann::json& line) {
    if (line.contains("time")) records_.times.push_back(line.at("time").get<TimeRecord>());
    if (line.contains("memory")) records_.memory.push_back(line.at("memory").get<MemoryRecord>());
    if (line.contains("batch")) records_.batches.push_back(line.at("batch").get<BatchRecord>());
    if (line.contains("document"))
      records_.documents.push_back(line.at("document").get<DocumentRecord>());
    if (line.contains("bandwidth"))
      records_.bandwidth.push_back(line.at("bandwidth").get<BandwidthRecord>());
    if (line.contains("process")) records_.processes = line.at("process").get<std::int64_t>();
  }

  Records records_;  // before the file, which fills them
  JsonLines lines_;
};

}  // namespace promptdistill::examples
