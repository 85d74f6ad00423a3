#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// A progress line for what takes over two seconds, on a terminal only, and Ctrl-C as a flag.

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace promptdistill::examples {

/// Thrown where work stops because of Ctrl-C.
struct Interrupted : std::runtime_error {
  Interrupted() : std::runtime_error("interrupted") {}
};

namespace detail {
inline volatile std::sig_atomic_t interrupted = 0;
}

/// The first Ctrl-C sets a flag, a second one ends the process as usual.
inline void catch_interrupts() {
  std::signal(SIGINT, [](int) {
    detail::interrupted = 1;
    std::signal(SIGINT, SIG_DFL);
  });
}
/// Once a Ctrl-C has been seen to.
inline void forget_interrupt() { detail::interrupted = 0; }
inline bool interrupted() { return detail::interrupted != 0; }

/// One line on stderr, redrawn in place. Nothing is drawn in the first two seconds or where stderr
/// is no terminal.
class ProgressLine {
 public:
  ~ProgressLine() { clear(); }

  void show(const std::string& text) {
    if (!terminal_ || std::chrono::steady_clock::now() - start_ < std::chrono::seconds(2)) return;
    fmt::print(stderr, "\r\033[K{}", text);
    std::fflush(stderr);
    drawn_ = true;
  }

  void clear() {
    if (drawn_) fmt::print(stderr, "\r\033[K");
    drawn_ = false;
  }

  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  bool terminal_ = ::isatty(STDERR_FILENO) != 0;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace promptdistill::examples
