#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// LongBench and InfiniteBench as users download them: their own prompts, lengths and samples.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "examples/common/program.hpp"
#include "examples/evaluate/infbench_metrics.hpp"
#include "examples/evaluate/metrics.hpp"
#include "examples/evaluate/task.hpp"
#include "promptdistill/io/load_error.hpp"
#include "promptdistill/io/read_json.hpp"

namespace promptdistill::examples {

namespace detail {

/// Every line of a file as a JSON object.
inline std::vector<nlohmann::json> read_lines(const std::filesystem::path& file) {
  std::istringstream text(promptdistill::detail::read_text_file(file));
  std::vector<nlohmann::json> lines;
  std::string line;
  for (std::int64_t number = 1; std::getline(text, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      lines.push_back(nlohmann::json::parse(line));
    } catch (const nlohmann::json::exception& error) {
      throw LoadError(file, fmt::format("line {}", number), error.what());
    }
    if (!lines.back().is_object())
      throw LoadError(file, fmt::format("line {}", number), "must be a JSON object");
  }
  if (lines.empty()) throw LoadError(file, "the file", "must hold at least one sample");
  return lines;
}

/// A sample's field as text; numbers as they are written.
inline std::string text_of(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// The references of a sample: a text, a number, or an array of them.
inline std::vector<std::string> texts_of(const nlohmann::json& value) {
  std::vector<std::string> out;
  if (!value.is_array()) return {text_of(value)};
  for (const nlohmann::json& item : value)
    for (const std::string& text : texts_of(item)) out.push_back(text);
  return out;
}

/// Fills {key} by the sample's text of that key. Braces that name no key stay.
inline std::string fill(const std::string& prompt, const nlohmann::json& values) {
  std::string out;
  for (std::size_t at = 0; at < prompt.size();) {
    const std::size_t end = prompt[at] == '{' ? prompt.find('}', at) : std::string::npos;
    if (end != std::string::npos) {
      const std::string key = prompt.substr(at + 1, end - at - 1);
      if (values.contains(key)) {
        out += text_of(values.at(key));
        at = end + 1;
        continue;
      }
    }
    out += prompt[at++];
  }
  return out;
}

/// The first and the last half of what is too long.
inline Ids cut_in_the_middle(Ids ids, std::int64_t limit) {
  if (std::ssize(ids) <= limit) return ids;
  const std::int64_t half = limit / 2;
  ids.erase(ids.begin() + half, ids.end() - (limit - half));
  return ids;
}

inline std::string first_line(std::string_view reply) {
  while (!reply.empty() && reply.front() == '\n') reply.remove_prefix(1);
  return std::string(reply.substr(0, reply.find('\n')));
}

inline nlohmann::json json_at(const std::filesystem::path& file, const std::string& key) {
  const nlohmann::json all = promptdistill::detail::read_json(file);
  if (!all.is_object() || !all.contains(key))
    throw LoadError(file, key, "must be there: it says how the task is asked");
  return all.at(key);
}

}  // namespace detail

/// How samples of a file become prompts.
struct FileTaskSettings {
  std::filesystem::path folder;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::int64_t longest = 0;  // tokens of a prompt and its reply together
};

/// LongBench (arXiv 2308.14508): FOLDER/NAME.jsonl, dataset2prompt.json and dataset2maxlen.json. No
/// chat format. Throws UsageError on a task whose metric needs Chinese word segmentation, LoadError
/// on files that are not the benchmark's.
inline Task longbench_task(const std::string& name, const FileTaskSettings& settings) {
  const auto is_one_of = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (is_one_of({"multifieldqa_zh", "dureader", "vcsum"}))
    throw UsageError("longbench:" + name +
                     " is scored over segmented Chinese words, which is not supported");
  using Score = double (*)(std::string_view, std::string_view);
  Task task;
  Score score = nullptr;
  if (is_one_of({"narrativeqa", "qasper", "multifieldqa_en", "hotpotqa", "2wikimqa", "musique",
                 "triviaqa"})) {
    task.metric = "token F1";
    score = token_f1;
  } else if (is_one_of({"gov_report", "qmsum", "multi_news", "samsum"})) {
    task.metric = "ROUGE-L";
    score = rouge_l;
  } else if (is_one_of({"passage_count"})) {
    task.metric = "share of numbers";
    score = number_share;
  } else if (is_one_of({"passage_retrieval_en"})) {
    task.metric = "share of numbers";
    score = [](std::string_view reply, std::string_view reference) {
      return retrieval(reply, reference, "Paragraph ");
    };
  } else if (is_one_of({"passage_retrieval_zh"})) {
    task.metric = "share of numbers";
    score = [](std::string_view reply, std::string_view reference) {
      return retrieval(reply, reference, "段落");
    };
  } else if (is_one_of({"lcc", "repobench-p"})) {
    task.metric = "edit similarity";
    score = edit_similarity;
  } else if (is_one_of({"trec", "lsht"})) {
    task.metric = "class";
  } else {
    throw UsageError("longbench:" + name + " is not a task of LongBench");
  }
  const std::string prompt =
      detail::text_of(detail::json_at(settings.folder / "dataset2prompt.json", name));
  const nlohmann::json most = detail::json_at(settings.folder / "dataset2maxlen.json", name);
  if (!most.is_number_integer() || most.get<std::int64_t>() < 1)
    throw LoadError(settings.folder / "dataset2maxlen.json", name, "must be a number of tokens");
  const auto new_tokens = most.get<std::int64_t>();
  const auto file = settings.folder / (name + ".jsonl");
  const auto lines = std::make_shared<const std::vector<nlohmann::json>>(detail::read_lines(file));
  for (const nlohmann::json& line : *lines) {
    for (const char* key : {"context", "input", "answers"})
      if (!line.contains(key)) throw LoadError(file, key, "must be in every sample");
  }
  task.name = "longbench:" + name;
  task.size = lines->size();
  task.make = [=](std::size_t index) {
    const nlohmann::json& line = (*lines)[index];
    Sample sample;
    sample.id = line.contains("_id") ? detail::text_of(line.at("_id")) : std::to_string(index);
    sample.ids =
        detail::cut_in_the_middle(settings.tokenizer->encode(detail::fill(prompt, line), true),
                                  settings.longest - new_tokens);
    sample.references = detail::texts_of(line.at("answers"));
    sample.max_new_tokens = new_tokens;
    sample.about["classes"] = line.value("all_classes", nlohmann::json());
    sample.about["length"] = std::ssize(sample.ids);
    return sample;
  };
  const bool one_line = is_one_of({"trec", "triviaqa", "samsum", "lsht"});
  task.score = [=](const Sample& sample, const std::string& reply) {
    const std::string text = one_line ? detail::first_line(reply) : reply;
    const nlohmann::json& listed = sample.about.at("classes");
    const auto classes = listed.is_array() ? detail::texts_of(listed) : std::vector<std::string>{};
    double best = 0;
    for (const std::string& reference : sample.references)
      best =
          std::max(best, score ? score(text, reference) : classification(text, reference, classes));
    return best;
  };
  return task;
}

namespace detail {

/// The text between two markers, the second one searched from behind the first; empty where one is
/// missing.
inline std::string between(const std::string& text,
                           const std::string& from,
                           const std::string& to) {
  const std::size_t begin = text.find(from);
  if (begin == std::string::npos) return "";
  const std::size_t end = text.find(to, begin + from.size());
  if (end == std::string::npos) return "";
  return text.substr(begin + from.size(), end - begin - from.size());
}

/// A sample's own fields and those that InfiniteBench makes of them for its prompts.
inline nlohmann::json infbench_values(const nlohmann::json& line) {
  nlohmann::json values = line;
  const std::string input = text_of(line.at("input"));
  values["question"] = input;
  const auto options = line.value("options", nlohmann::json::array());
  for (std::size_t i = 0; i < options.size() && i < 4; ++i)
    values[std::string("OPTION_") + static_cast<char>('A' + i)] = text_of(options[i]);
  // "The second largest number of ...": what is looked for.
  std::string wanted = between(input, "The ", " of");
  std::transform(wanted.begin(), wanted.end(), wanted.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  values["prefix"] = "What is the " + wanted + " in the following list?";
  const std::string call = between(input, "func_", ")");  // "func_3(-2)"
  values["func_call"] = "func_" + call + ")";
  values["func"] = "func_" + call.substr(0, call.find('('));
  return values;
}

}  // namespace detail

/// InfiniteBench (arXiv 2402.13718): FOLDER/tasks.json, which gives each task's prompt,
/// max_new_tokens and file, and those files. Throws as longbench_task does.
inline Task infbench_task(const std::string& name, const FileTaskSettings& settings) {
  struct Rule {
    const char* name;
    const char* metric;
    bool options;  // the answer is one of them
    double (*score)(const std::string& reply, const std::vector<std::string>& references);
  };
  using Texts = std::vector<std::string>;
  // With options the references are the right option's text and its letter.
  static const std::array<Rule, 11> kRules{{
      {"passkey", "first number", false,
       [](const std::string& reply, const Texts& r) {
         return first_number_is(reply, r.front()) ? 1.0 : 0.0;
       }},
      {"number_string", "first number", false,
       [](const std::string& reply, const Texts& r) {
         return first_number_is(reply, r.front()) ? 1.0 : 0.0;
       }},
      {"kv_retrieval", "value in the reply", false,
       [](const std::string& reply, const Texts& r) {
         return has_value(reply, r.front()) ? 1.0 : 0.0;
       }},
      {"math_find", "first number", false,
       [](const std::string& reply, const Texts& r) {
         return first_number_is(reply, r.front()) ? 1.0 : 0.0;
       }},
      {"code_run", "last number", false,
       [](const std::string& reply, const Texts& r) {
         return last_integer_is(reply, r.front()) ? 1.0 : 0.0;
       }},
      {"code_debug", "right option", true,
       [](const std::string& reply, const Texts& r) {
         return names_option(reply, r[1], r[0]) ? 1.0 : 0.0;
       }},
      {"longbook_choice_eng", "right option", true,
       [](const std::string& reply, const Texts& r) {
         return chooses(reply, r[1], r[0]) ? 1.0 : 0.0;
       }},
      {"longdialogue_qa_eng", "name in the reply", false,
       [](const std::string& reply, const Texts& r) {
         return names_speaker(reply, r) ? 1.0 : 0.0;
       }},
      {"longbook_qa_eng", "token F1", false,
       [](const std::string& reply, const Texts& r) {
         double best = 0;
         for (const std::string& reference : r) best = std::max(best, token_f1(reply, reference));
         return best;
       }},
      {"longbook_qa_chn", "character F1", false,
       [](const std::string& reply, const Texts& r) {
         double best = 0;
         for (const std::string& reference : r)
           best = std::max(best, character_f1(reply, reference));
         return best;
       }},
      {"longbook_sum_eng", "ROUGE-L", false,
       [](const std::string& reply, const Texts& r) { return rouge_l(reply, r.front()); }},
  }};
  const auto rule = std::find_if(kRules.begin(), kRules.end(),
                                 [&](const Rule& each) { return name == each.name; });
  if (rule == kRules.end())
    throw UsageError("infbench:" + name + " is not a task of InfiniteBench that can be scored");
  const auto tasks = settings.folder / "tasks.json";
  const nlohmann::json about = detail::json_at(tasks, name);
  for (const char* key : {"prompt", "file", "max_new_tokens"})
    if (!about.contains(key)) throw LoadError(tasks, name + "." + key, "must be there");
  const std::string prompt = detail::text_of(about.at("prompt"));
  if (!about.at("max_new_tokens").is_number_integer() ||
      about.at("max_new_tokens").get<std::int64_t>() < 1)
    throw LoadError(tasks, name + ".max_new_tokens", "must be a number of tokens");
  const auto new_tokens = about.at("max_new_tokens").get<std::int64_t>();
  const auto file = settings.folder / detail::text_of(about.at("file"));
  const auto lines = std::make_shared<const std::vector<nlohmann::json>>(detail::read_lines(file));
  for (const nlohmann::json& line : *lines) {
    for (const char* key : {"context", "input", "answer"})
      if (!line.contains(key)) throw LoadError(file, key, "must be in every sample");
    if (!rule->options) continue;
    const Texts options = detail::texts_of(line.value("options", nlohmann::json::array()));
    if (std::find(options.begin(), options.end(), detail::texts_of(line.at("answer")).front()) ==
        options.end())
      throw LoadError(file, "options", "must hold the answer");
  }
  Task task{"infbench:" + name, rule->metric, lines->size(), {}, {}};
  task.make = [=, options = rule->options](std::size_t index) {
    const nlohmann::json& line = (*lines)[index];
    Sample sample;
    sample.id = line.contains("id") ? detail::text_of(line.at("id")) : std::to_string(index);
    sample.ids = detail::cut_in_the_middle(
        settings.tokenizer->encode(detail::fill(prompt, detail::infbench_values(line)), true),
        settings.longest - new_tokens);
    sample.references = detail::texts_of(line.at("answer"));
    if (options) {
      const Texts all = detail::texts_of(line.at("options"));
      const auto at = std::find(all.begin(), all.end(), sample.references.front()) - all.begin();
      sample.references = {sample.references.front(), std::string(1, static_cast<char>('A' + at))};
    }
    sample.max_new_tokens = new_tokens;
    sample.about["length"] = std::ssize(sample.ids);
    return sample;
  };
  task.score = [score = rule->score](const Sample& sample, const std::string& reply) {
    return score(reply, sample.references);
  };
  return task;
}

}  // namespace promptdistill::examples
