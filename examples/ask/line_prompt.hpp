#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Lines typed at a terminal, with editing and a history.

// libedit's header lacks what it needs itself.
#include <cstdio>
// clang-format off
#include <editline/readline.h>
// clang-format on

#include <langinfo.h>

#include <clocale>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "examples/common/program.hpp"

namespace promptdistill::examples {

class LinePrompt {
 public:
  explicit LinePrompt(std::string prompt) : prompt_(std::move(prompt)) {
    ::rl_catch_signals = 0;
    // libedit reads characters by the locale, and drops what that does not have.
    std::setlocale(LC_CTYPE, "");
    if (std::string_view(::nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
  }

  /// The next line that is not blank, from its first character on; none at the end of the input.
  /// Ctrl-C does nothing here, and an interrupt before it is forgotten.
  std::optional<std::string> next() {
    for (;;) {
      std::fflush(stdout);
      std::signal(SIGINT, SIG_IGN);  // there is nothing to stop
      forget_interrupt();
      char* const typed = ::readline(prompt_.c_str());
      if (typed == nullptr) return std::nullopt;
      const std::string line = typed;
      std::free(typed);
      const std::size_t first = line.find_first_not_of(" \t");
      if (first == std::string::npos) continue;
      ::add_history(line.c_str());
      return line.substr(first);
    }
  }

 private:
  std::string prompt_;
};

}  // namespace promptdistill::examples
