#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A file that keeps every result as it comes, so that stopped work goes on.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "examples/common/read_lines.hpp"

namespace promptdistill::examples {

/// Lines of JSON after a header that says what was measured, how and on what. A line is on the disk
/// before the next work begins; one that a crash cut short is dropped.
class JsonLines {
 public:
  /// Keeps nothing.
  JsonLines() = default;

  /// Opens FOLDER/results.jsonl or begins it, and calls `read` with every line that it holds, but
  /// for the header. Throws std::runtime_error where it cannot be written, is another run's at this
  /// moment, or holds results of another header, and LoadError on a line that `read` cannot use.
  JsonLines(const std::filesystem::path& folder,
            const nlohmann::json& header,
            const std::function<void(const nlohmann::json&)>& read)
      : path_(folder / "results.jsonl") {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) fail("cannot make the folder: " + error.message());
    file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file_ < 0) fail(std::strerror(errno));
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0) fail("another run writes to it");
    bool checked = false;
    const std::uintmax_t whole = read_json_lines(
        path_,
        [&](const nlohmann::json& line) {
          if (checked && !line.contains("header")) return read(line);
          check_header(line.at("header"), header);  // again where files were put together
          checked = true;
        },
        /*whole_lines=*/true);
    if (!checked && std::filesystem::file_size(path_) > 0) require_beginning();
    if (::ftruncate(file_, static_cast<off_t>(whole)) != 0) fail(std::strerror(errno));
    if (!checked) write({{"header", header}});
  }
  JsonLines(JsonLines&& other) noexcept
      : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)) {}
  JsonLines& operator=(JsonLines&&) = delete;
  ~JsonLines() {
    if (file_ >= 0) ::close(file_);
  }

  void write(const nlohmann::json& line) {
    if (file_ < 0) return;
    // A reply may hold half a character: it is kept with U+FFFD in its place.
    const std::string text =
        line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    const ssize_t written = ::write(file_, text.data(), text.size());
    if (written < 0) fail(std::strerror(errno));
    if (static_cast<std::size_t>(written) != text.size()) fail("the disk is full");
    if (::fdatasync(file_) != 0 && errno != EINVAL) fail(std::strerror(errno));
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw std::runtime_error("promptdistill: cannot keep results in " + path_.string() + ": " +
                             why);
  }

  /// A header that a crash cut short may be written over, another file may not.
  void require_beginning() const {
    static constexpr std::string_view kBeginning = "{\"header\"";
    std::ifstream in(path_, std::ios::binary);
    std::string text(kBeginning.size(), '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(in.gcount()));
    if (!kBeginning.starts_with(text)) fail("the file that is there holds no results");
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
};

}  // namespace promptdistill::examples
