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
#include <initializer_list>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "examples/common/program.hpp"
#include "examples/common/read_lines.hpp"
#include "examples/evaluate/infbench_metrics.hpp"
#include "examples/evaluate/metrics.hpp"
#include "examples/evaluate/task.hpp"
#include "promptdistill/io/json_file.hpp"

namespace promptdistill::examples {

namespace detail {

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

/// A benchmark's samples: every line of its file, each with the fields that `keys` names, ids
/// unlike each other under `id`. Throws LoadError.
inline std::shared_ptr<const std::vector<nlohmann::json>> read_samples(
    const std::filesystem::path& file, std::initializer_list<const char*> keys, const char* id) {
  std::vector<nlohmann::json> samples;
  std::set<std::string> ids;
  read_json_lines(file, [&](const nlohmann::json& sample) {
    for (const char* const key : keys)
      if (!sample.contains(key)) throw LoadError(file, key, "must be in every sample");
    if (texts_of(sample.at(keys.end()[-1])).empty())
      throw LoadError(file, keys.end()[-1], "must hold at least one answer in every sample");
    if (sample.contains(id) && !ids.insert(text_of(sample.at(id))).second)
      throw LoadError(
          file, id, "must differ from sample to sample, got " + text_of(sample.at(id)) + " twice");
    samples.push_back(sample);
  });
  if (samples.empty()) throw LoadError(file, "the file", "must hold at least one sample");
  return std::make_shared<const std::vector<nlohmann::json>>(std::move(samples));
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
  std::int64_t longest = 0;                         // tokens of a prompt and its reply together
  std::optional<std::int64_t> max_new_tokens = {};  // instead of the benchmark's
};

namespace detail {

/// The longest reply: the user's, or what the benchmark's file says.
inline std::int64_t reply_tokens(const FileTaskSettings& settings,
                                 const std::filesystem::path& file,
                                 const std::string& key,
                                 const nlohmann::json& value) {
  if (settings.max_new_tokens) {
    if (*settings.max_new_tokens < settings.longest) return *settings.max_new_tokens;
    throw UsageError(fmt::format("--max-new-tokens {} leaves nothing of the context of {}",
                                 *settings.max_new_tokens, settings.longest));
  }
  const bool whole = value.is_number_integer() && value.dump().size() < 18;
  if (!whole || value.get<std::int64_t>() < 1 || value.get<std::int64_t>() >= settings.longest)
    throw LoadError(
        file, key,
        fmt::format("must be a number of tokens below the model's context of {}, got {}",
                    settings.longest, JsonObject::shown(value)));
  return value.get<std::int64_t>();
}

}  // namespace detail

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
  const std::int64_t new_tokens =
      detail::reply_tokens(settings, settings.folder / "dataset2maxlen.json", name, most);
  const auto file = settings.folder / (name + ".jsonl");
  const auto lines = detail::read_samples(file, {"context", "input", "answers"}, "_id");
  for (const nlohmann::json& line : *lines)
    if (!score && !line.value("all_classes", nlohmann::json()).is_array())
      throw LoadError(file, "all_classes", "must be an array in every sample: replies are classes");
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
  const nlohmann::json options = line.value("options", nlohmann::json());
  for (std::size_t i = 0; options.is_array() && i < options.size() && i < 4; ++i)
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
         return first_decimal_is(reply, r.front()) ? 1.0 : 0.0;
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
  const std::int64_t new_tokens =
      detail::reply_tokens(settings, tasks, name + ".max_new_tokens", about.at("max_new_tokens"));
  const auto file = settings.folder / detail::text_of(about.at("file"));
  const auto lines = detail::read_samples(file, {"context", "input", "answer"}, "id");
  for (const nlohmann::json& line : *lines) {
    if (!rule->options) continue;
    const nlohmann::json listed = line.value("options", nlohmann::json());
    const Texts options = listed.is_array() ? detail::texts_of(listed) : Texts{};
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
