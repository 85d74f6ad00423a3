#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// What every program does around its work: parse the command line, report errors in one line, exit
// 0, 1 or 2.

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include "examples/common/progress.hpp"
#include "promptdistill/version.hpp"

namespace promptdistill::examples {

/// A combination of options that makes no sense: reported as bad usage.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// For app.add_option(...)->check(): a whole number of at least this.
inline CLI::Validator at_least(std::int64_t smallest) {
  return CLI::Validator(
      [smallest](const std::string& text) {
        std::int64_t number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error == std::errc() && end == text.data() + text.size() && number >= smallest)
          return std::string();
        return fmt::format("must be a whole number of at least {}, got {}", smallest, text);
      },
      fmt::format(">= {}", smallest));
}

/// Runs what only reads the command line: a setting that breaks the library's rule is bad usage.
template <class Work>
auto reading_flags(Work&& work) {
  try {
    return work();
  } catch (const c10::Error& error) {
    throw UsageError(error.what_without_backtrace());
  } catch (const std::invalid_argument& error) {
    throw UsageError(error.what());
  }
}

/// Parses, runs `work` and returns the exit code: 0, 1 for a failure, 2 for bad usage, 130 where
/// Ctrl-C stopped it.
inline int run_program(CLI::App& app, int argc, char** argv, const std::function<void()>& work) {
  const auto report = [&](std::string_view text, int code) {
    constexpr std::string_view kLibrary = "promptdistill: ";  // the program's name says as much
    if (text.starts_with(kLibrary)) text.remove_prefix(kLibrary.size());
    fmt::print(stderr, "{}: {}\n", app.get_name(), text);
    return code;
  };
  app.set_version_flag("--version", kVersion);
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    return fmt::format("{}: {}\n{} --help explains.\n", failed->get_name(), error.what(),
                       failed->get_name());
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  try {
    work();
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
      return report("cannot write to standard output", 1);
    return interrupted() ? 130 : 0;
  } catch (const Interrupted&) {
    return report("interrupted", 130);
  } catch (const UsageError& error) {
    return report(fmt::format("{}\n{} --help explains.", error.what(), app.get_name()), 2);
  } catch (const c10::Error& error) {
    return report(error.what_without_backtrace(), 1);
  } catch (const std::bad_alloc&) {
    return report("out of memory", 1);
  } catch (const std::exception& error) {
    return report(error.what(), 1);
  }
}

}  // namespace promptdistill::examples
