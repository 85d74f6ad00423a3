#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The order in which methods are run: in turn within each repetition, and alone for their memory.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "examples/bench/flags.hpp"
#include "examples/bench/measure.hpp"
#include "examples/bench/measure_batch.hpp"
#include "examples/bench/measure_document.hpp"
#include "examples/bench/read_bandwidth.hpp"
#include "examples/bench/results_file.hpp"
#include "examples/common/process.hpp"
#include "examples/common/progress.hpp"
#include "examples/common/units.hpp"

namespace promptdistill::examples {

/// Runs what the results lack. A repetition that was stopped half-way goes on with full attention,
/// so that every ratio is of two runs of one process.
class BenchRunner {
 public:
  BenchRunner(const BenchFlags& flags, const CausalLm& lm, ResultsFile& results)
      : flags_(flags), lm_(lm), results_(results), settings_(flags.run_settings()) {}

  /// Every method at one length, repetition after repetition.
  void run_times(const std::string& suite,
                 std::int64_t length,
                 const std::vector<BenchMethod>& methods) {
    const std::vector<std::int64_t> prompt = flags_.model.prompt(length, lm_.config.vocab_size);
    bool warm = false;
    for (std::int64_t repetition = 0; repetition < flags_.reps; ++repetition) {
      std::vector<BenchMethod> missing;
      for (const BenchMethod& method : methods) {
        if (!has_time(suite, length, repetition, method)) missing.push_back(method);
      }
      if (missing.empty()) continue;
      if (missing.front().text() != methods.front().text())
        missing.insert(missing.begin(), methods.front());
      if (!warm) {  // the bandwidth first: it leaves nothing of the model in the processor's caches
        results_.add(BandwidthRecord{read_bandwidth(lm_.device())});
        warm_up(suite, prompt, methods);
        warm = true;
      }
      for (const BenchMethod& method : missing) {
        TimeRecord record =
            measure_time(lm_, prompt, method, settings_,
                         progress(fmt::format("{}, {} tokens, repetition {} of {}, {}", suite,
                                              length, repetition + 1, flags_.reps, method.label)));
        record.suite = suite;
        record.repetition = repetition;
        record.process = results_.records().processes;
        results_.add(record);
      }
    }
    line_.clear();
  }

  /// Every method on prompts of lengths up to this one, repetition after repetition.
  void run_batches(std::int64_t longest, const std::vector<BenchMethod>& methods) {
    std::vector<std::vector<std::int64_t>> prompts;
    const std::vector<std::int64_t> lengths = batch_lengths(flags_.batch, longest);
    for (const std::int64_t length : lengths)
      prompts.push_back(flags_.model.prompt(length, lm_.config.vocab_size));
    bool warm = false;
    for (std::int64_t repetition = 0; repetition < flags_.reps; ++repetition) {
      for (const BenchMethod& method : methods) {
        const std::string text = method.text();
        const auto& known = results_.records().batches;
        if (std::any_of(known.begin(), known.end(), [&](const BatchRecord& record) {
              return record.lengths == lengths && record.repetition == repetition &&
                     record.method == text;
            }))
          continue;
        const auto shown = [&](const std::string& what) {
          return progress(
              fmt::format("batch of {} up to {} tokens, {}", prompts.size(), longest, what));
        };
        if (!std::exchange(warm, true)) {
          RunSettings settings = settings_;
          settings.new_tokens = 2;
          for (const BenchMethod& each : methods)
            measure_batch(lm_, prompts, each, settings, shown("warm-up"));
        }
        BatchRecord record =
            measure_batch(lm_, prompts, method, settings_,
                          shown(fmt::format("repetition {} of {}, {}", repetition + 1, flags_.reps,
                                            method.label)));
        record.repetition = repetition;
        record.process = results_.records().processes;
        results_.add(record);
      }
    }
    line_.clear();
  }

  /// A question a repetition of every method about one document, which each has read once.
  void run_documents(std::int64_t length, const std::vector<BenchMethod>& methods) {
    const std::vector<std::int64_t> ids = flags_.model.prompt(length, lm_.config.vocab_size);
    std::vector<std::optional<HeldDocument>> held(methods.size());
    for (std::int64_t repetition = 0; repetition < flags_.reps; ++repetition) {
      for (std::size_t m = 0; m < methods.size(); ++m) {
        const std::string text = methods[m].text();
        const auto& known = results_.records().documents;
        if (std::any_of(known.begin(), known.end(), [&](const DocumentRecord& record) {
              return record.length == length && record.repetition == repetition &&
                     record.method == text;
            }))
          continue;
        const auto shown = [&](const std::string& what) {
          return progress(
              fmt::format("document of {} tokens, {}, {}", length, methods[m].label, what));
        };
        if (!held[m]) {
          held[m].emplace(lm_, ids, methods[m], settings_, shown("read"));
          held[m]->ask(question_of(ids, flags_.reps), shown("warm-up"));
        }
        DocumentRecord record =
            measure_document(lm_, *held[m], ids, methods[m], repetition, settings_,
                             shown(fmt::format("question {} of {}", repetition + 1, flags_.reps)));
        record.process = results_.records().processes;
        results_.add(record);
      }
    }
    line_.clear();
  }

  /// Every method at one length, each in a process of its own.
  void run_memory(std::int64_t length, const std::vector<BenchMethod>& methods) {
    for (const BenchMethod& method : methods) {
      const std::string text = method.text();
      const auto& known = results_.records().memory;
      if (std::any_of(known.begin(), known.end(), [&](const MemoryRecord& record) {
            return record.length == length && record.method == text;
          }))
        continue;
      if (interrupted()) throw Interrupted();
      line_.show(
          fmt::format("memory, {} tokens, {}, in a process of its own", length, method.label));
      const auto run = run_process(flags_.child_arguments(method, length));
      if (!run || run->code != 0) {
        throw std::runtime_error(fmt::format(
            "promptdistill: measuring the memory of {} at {} tokens must end well, its process {}",
            method.label, length,
            !run               ? "cannot be started"
            : run->code >= 128 ? fmt::format("was ended by signal {}", run->code - 128)
                               : fmt::format("ended with {}", run->code)));
      }
      results_.add(nlohmann::json::parse(run->out).get<MemoryRecord>());
    }
    line_.clear();
  }

 private:
  bool has_time(const std::string& suite,
                std::int64_t length,
                std::int64_t repetition,
                const BenchMethod& method) const {
    const std::string text = method.text();
    const auto& known = results_.records().times;
    return std::any_of(known.begin(), known.end(), [&](const TimeRecord& record) {
      return record.suite == suite && record.length == length && record.repetition == repetition &&
             record.method == text;
    });
  }

  /// Once through all of them, or as many as a minute allows: first touches of mapped weights are
  /// not a method's time, nor are kernels made for a shape, milliseconds each.
  void warm_up(const std::string& suite,
               const std::vector<std::int64_t>& prompt,
               const std::vector<BenchMethod>& methods) {
    RunSettings settings = settings_;
    settings.stop_after = 2;  // allocators that reuse blocks want those of the real run
    const auto start = std::chrono::steady_clock::now();
    for (const BenchMethod& method : methods) {
      run_once(
          lm_, prompt, method.options, settings,
          progress(fmt::format("{}, {} tokens, warm-up, {}", suite, prompt.size(), method.label)));
      if (std::chrono::steady_clock::now() - start > std::chrono::minutes(1)) break;
    }
  }

  LayerProgress progress(std::string text) {
    return [this, text = std::move(text)](const PrefillProgress& at) {
      line_.show(fmt::format("{}: layer {} of {}", text, at.layer + 1, at.layers));
    };
  }

  const BenchFlags& flags_;
  const CausalLm& lm_;
  ResultsFile& results_;
  RunSettings settings_;
  ProgressLine line_;
};

}  // namespace promptdistill::examples
