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
#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "promptdistill/io/load_error.hpp"
#include "promptdistill/io/read_json.hpp"

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
    const std::string text = promptdistill::detail::read_text_file(path_);
    const std::size_t whole = text.rfind('\n') + 1;  // 0 where there is no line
    if (::ftruncate(file_, static_cast<off_t>(whole)) != 0) fail(std::strerror(errno));
    if (whole == 0) {
      write({{"header", header}});
    } else {
      read_lines(std::string_view(text).substr(0, whole), header, read);
    }
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

  void read_lines(std::string_view text,
                  const nlohmann::json& header,
                  const std::function<void(const nlohmann::json&)>& read) const {
    for (std::int64_t number = 1; !text.empty(); ++number) {
      const std::size_t end = text.find('\n');
      try {
        const auto line = nlohmann::json::parse(text.substr(0, end));
        if (number == 1) {
          check_header(line.at("header"), header);
        } else {
          read(line);
        }
      } catch (const nlohmann::json::exception& error) {
        throw LoadError(path_, fmt::format("line {}", number),
                        std::string("is not a result: ") + error.what());
      }
      text.remove_prefix(end + 1);
    }
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
