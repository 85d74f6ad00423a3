#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The published chat templates that are known, by their fingerprints, and what each writes.

#include <cstdint>
#include <ctime>
#include <functional>
#include <optional>
#include <string>
#include <variant>

#include "promptdistill/text/chat_writers.hpp"
#include "promptdistill/text/template_fingerprint.hpp"

namespace promptdistill::detail {

using ChatWriter = std::variant<ChatMlWriter, LlamaWriter, PhiWriter, MistralWriter>;

/// As strftime's "%d %b %Y" writes it in English.
inline std::string today() {
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  const std::string day = std::to_string(local.tm_mday);
  return (day.size() < 2 ? "0" + day : day) + " " + kMonths[local.tm_mon] + " " +
         std::to_string(1900 + local.tm_year);
}

/// The writer of a template, or nothing where it is not a known one. `special(name)` gives the text
/// of bos_token or eos_token and is asked only for what the template writes.
///
/// To add a template: its fingerprint, which the error about an unknown one names, goes here, its
/// text into tests/golden/make_chat_golden.py, which renders it with jinja2 for the tests.
inline std::optional<ChatWriter> known_template(
    const TemplateFingerprint& print, const std::function<std::string(const char* name)>& special) {
  using System = MistralWriter::System;
  const auto bos = [&] { return special("bos_token"); };
  const auto eos = [&] { return special("eos_token"); };
  switch (print.value) {
    case 0x7bcf264bdd681a22:  // SmolLM2-135M-Instruct, Qwen2-7B-Instruct
    case 0xc03fa54cfdc50f66:  // OpenHermes-2.5-Mistral-7B
    case 0xd6b9e0bf950add7f:  // the two with "if not add_generation_prompt is defined"
    case 0x07ba7310c1c83471:
      return ChatMlWriter{print.default_system, false};
    case 0x8c67380dbcb197b5:  // Qwen2.5-7B-Instruct
    case 0x660d537894868345:  // Qwen2.5-Coder-7B-Instruct: its tools' text differs
      return ChatMlWriter{print.default_system, true};
    case 0x9e138178b5d1e63e:  // Meta-Llama-3-8B-Instruct
      return LlamaWriter{bos(), {}};
    case 0x09835a91e5632942:  // Llama-3.1-8B-Instruct, Llama-3.3-70B-Instruct
      return LlamaWriter{bos(), print.date};
    case 0x1a43ff52ee28bd04:  // Llama-3.2-3B-Instruct
      return LlamaWriter{bos(), today()};
    case 0x5152fe43562c32c8:  // Phi-3-mini-4k-instruct
      return PhiWriter{eos(), "\n", false};
    case 0xc9b1ad9879f125ab:  // Phi-3.5-mini-instruct
      return PhiWriter{eos(), "\n", true};
    case 0x5ddceed56e94f3be:  // Phi-4-mini-instruct
      return PhiWriter{eos(), "", false};
    case 0xc50add0bac86793d:  // Mistral-7B-Instruct-v0.2 as first published
      return MistralWriter{bos(), eos(), "[INST] ", " [/INST]", "", false, System::kNone};
    case 0x8e3445f4652d4f13:  // Mistral-7B-Instruct-v0.2
      return MistralWriter{bos(), eos(), " [INST] ", " [/INST]", " ", false, System::kFirstTurn};
    case 0xb9bae275239f6424:  // Mistral-7B-Instruct-v0.3
      return MistralWriter{bos(), eos(), "[INST] ", "[/INST]", " ", true, System::kLastTurn};
    case 0x8647bacef779abff:  // Mistral-Nemo-Instruct-2407
      return MistralWriter{bos(), eos(), "[INST]", "[/INST]", "", false, System::kLastTurn};
    default:
      return std::nullopt;
  }
}

}  // namespace promptdistill::detail
