#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A text on its way into a model: --chat and --date, and that it is text at all.

#include <CLI/CLI.hpp>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

#include "examples/common/program.hpp"
#include "promptdistill/io/load_error.hpp"
#include "promptdistill/text.hpp"

namespace promptdistill::examples {

struct ChatFlags {
  bool chat = false;
  std::optional<std::string> date;

  void add_to(CLI::App& app) {
    app.add_flag("--chat", chat,
                 "wrap the text as a user's turn in the checkpoint's own chat format");
    app.add_option(
        "--date", date,
        "today's date for a chat format that names it (Llama 3.1: default 26 Jul 2024, as "
        "published; 3.2: today)");
  }

  void check() const {
    if (date && !chat) throw UsageError("--date needs --chat");
  }

  /// Throws UsageError where --date is given to a format without one.
  ChatFormat load(const std::filesystem::path& model_dir) const {
    ChatFormat format = ChatFormat::load(model_dir);
    if (!date) return format;
    if (!format.date())
      throw UsageError("--date is for a chat format that writes one, this checkpoint's is " +
                       std::string(format.name()) + " without");
    return format.with_date(*date);
  }
};

/// Throws LoadError naming `source` where `text` is not UTF-8.
inline void check_utf8(const std::string& text, const std::string& source) {
  const std::size_t at = promptdistill::detail::first_invalid_utf8(text);
  if (at != std::string::npos) {
    throw LoadError(source, "the text",
                    "must be valid UTF-8, it is not at byte " + std::to_string(at));
  }
}

}  // namespace promptdistill::examples
