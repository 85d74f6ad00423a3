#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The file that keeps every result as it comes, so that a stopped benchmark goes on.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "examples/bench/records.hpp"
#include "promptdistill/io/load_error.hpp"
#include "promptdistill/io/read_json.hpp"

namespace promptdistill::examples {

/// Lines of JSON, {kind: record} each, after a header that says what was measured, how and on what.
/// A line is on the disk before the next run begins; one that a crash cut short is dropped.
class ResultsFile {
 public:
  /// Without a folder nothing is kept.
  ResultsFile() = default;

  /// Opens FOLDER/results.jsonl or begins it. Throws std::runtime_error where it cannot be written,
  /// is another run's at this moment, or holds results made with other settings.
  ResultsFile(const std::filesystem::path& folder, const nlohmann::json& header)
      : path_(folder / "results.jsonl") {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) fail("cannot make the folder: " + error.message());
    file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file_ < 0) fail(std::strerror(errno));
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0) fail("another run writes to it");
    const std::string text = promptdistill::detail::read_text_file(path_);
    const std::size_t whole = text.rfind('\n') + 1;  // 0 where there is no line
    if (::ftruncate(file_, static_cast<off_t>(whole)) != 0) fail(std::strerror(errno));
    if (whole == 0) {
      write_line({{"header", header}});
    } else {
      read(std::string_view(text).substr(0, whole), header);
    }
    write_line({{"process", ++records_.processes}});
  }
  ResultsFile(ResultsFile&& other) noexcept
      : path_(std::move(other.path_)),
        file_(std::exchange(other.file_, -1)),
        records_(std::move(other.records_)) {}
  ResultsFile& operator=(ResultsFile&&) = delete;
  ~ResultsFile() {
    if (file_ >= 0) ::close(file_);
  }

  const Records& records() const { return records_; }

  void add(const TimeRecord& record) { add("time", record, records_.times); }
  void add(const MemoryRecord& record) { add("memory", record, records_.memory); }
  void add(const BatchRecord& record) { add("batch", record, records_.batches); }
  void add(const BandwidthRecord& record) { add("bandwidth", record, records_.bandwidth); }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw std::runtime_error("promptdistill: cannot keep results in " + path_.string() + ": " +
                             why);
  }

  template <class Record>
  void add(const char* kind, const Record& record, std::vector<Record>& records) {
    if (file_ >= 0) write_line({{kind, record}});
    records.push_back(record);
  }

  void write_line(const nlohmann::json& line) {
    const std::string text = line.dump() + "\n";
    const ssize_t written = ::write(file_, text.data(), text.size());
    if (written < 0) fail(std::strerror(errno));
    if (static_cast<std::size_t>(written) != text.size()) fail("the disk is full");
    if (::fdatasync(file_) != 0 && errno != EINVAL) fail(std::strerror(errno));
  }

  void read(std::string_view text, const nlohmann::json& header) {
    for (std::int64_t number = 1; !text.empty(); ++number) {
      const std::size_t end = text.find('\n');
      try {
        read_line(nlohmann::json::parse(text.substr(0, end)), header, number == 1);
      } catch (const nlohmann::json::exception& error) {
        throw LoadError(path_, fmt::format("line {}", number),
                        std::string("is not a result: ") + error.what());
      }
      text.remove_prefix(end + 1);
    }
  }

  void read_line(const nlohmann::json& line, const nlohmann::json& header, bool first) {
    if (first) return check_header(line.at("header"), header);
    if (line.contains("time")) records_.times.push_back(line.at("time").get<TimeRecord>());
    if (line.contains("memory")) records_.memory.push_back(line.at("memory").get<MemoryRecord>());
    if (line.contains("batch")) records_.batches.push_back(line.at("batch").get<BatchRecord>());
    if (line.contains("bandwidth"))
      records_.bandwidth.push_back(line.at("bandwidth").get<BandwidthRecord>());
    if (line.contains("process")) records_.processes = line.at("process").get<std::int64_t>();
  }

  void check_header(const nlohmann::json& theirs, const nlohmann::json& ours) const {
    if (theirs == ours) return;
    std::string differences;
    const nlohmann::json flat = theirs.flatten(), own = ours.flatten();
    nlohmann::json keys = flat;
    keys.update(own);
    for (const auto& item : keys.items()) {
      const auto shown = [&](const nlohmann::json& of) {
        return of.contains(item.key()) ? of.at(item.key()).dump() : std::string("missing");
      };
      if (shown(flat) == shown(own)) continue;
      differences += fmt::format("{}{} was {} and is {}", differences.empty() ? "" : "; ",
                                 item.key().substr(1), shown(flat), shown(own));
    }
    fail("it holds results of another run: " + differences +
         ". Name another folder, or remove the file to begin anew");
  }

  std::filesystem::path path_;
  int file_ = -1;
  Records records_;
};

}  // namespace promptdistill::examples
