// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// ChatFormat: which templates are recognised, and text against jinja2.

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "promptdistill/text/chat_format.hpp"
#include "tests/catch.hpp"
#include "tests/real_model.hpp"
#include "tests/text/tiny_tokenizer.hpp"

namespace promptdistill {
namespace {

using Json = nlohmann::json;

// As their checkpoints have them.
const char* const kSmolLm2 =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ "
    "'<|im_start|>system\nYou are "
    "kind<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n'}}{% "
    "endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
const char* const kPlain =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% "
    "endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
const char* const kLaidOut = R"({%- if not add_generation_prompt is defined -%}
  {% set add_generation_prompt = false %}
{%- endif -%}
{%- for message in messages -%}
    {{- "<|im_start|>" ~ message.role + '\n' }}{{ message.content }}<|im_end|>{{ "\n" -}}
{%- endfor %}
    {% if add_generation_prompt -%}
<|im_start|>assistant
{% endif %}
)";

ChatFormat load(const Json& chat_template) {
  return test::load_from<ChatFormat>("tokenizer_config.json",
                                     Json{{"chat_template", chat_template}}.dump());
}

std::string complaint(const Json& chat_template) {
  return test::load_error<ChatFormat>("tokenizer_config.json",
                                      Json{{"chat_template", chat_template}}.dump());
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

bool has(const std::string& text, const std::string& part) {
  UNSCOPED_INFO(text);
  return text.find(part) != std::string::npos;
}

Json chat_golden() {
  std::ifstream in(std::filesystem::path(PROMPTDISTILL_GOLDEN_DIR) / "text/chat.json");
  return Json::parse(in);
}

/// The published template `name`, its text being in the golden file.
Json published(const std::string& name) {
  const Json golden = chat_golden();
  for (const Json& entry : golden["templates"]) {
    if (entry["name"] == name) return entry;
  }
  throw std::runtime_error("no template " + name);
}

/// What a checkpoint with the template `text` has in its tokenizer_config.json.
Json config_of(const Json& entry, const std::string& text) {
  Json config{{"chat_template", text}};
  for (const char* token : {"bos_token", "eos_token"})
    config[token] = entry.contains(token) ? entry[token] : Json();
  return config;
}

ChatFormat load_published(const Json& entry, const std::string& text) {
  return test::load_from<ChatFormat>("tokenizer_config.json", config_of(entry, text).dump());
}

template <class Render>
void check_conversations(const Json& entry, const Json& conversations, const Render& render) {
  INFO(entry["name"].get<std::string>() << ": " << entry["source"].get<std::string>());
  for (std::size_t i = 0; i < conversations.size(); ++i) {
    INFO("conversation " << i);
    std::vector<ChatMessage> messages;
    for (const Json& turn : conversations[i]) messages.push_back({turn[0], turn[1]});
    for (const bool prompt : {true, false}) {
      const Json& expected = entry[prompt ? "prompts" : "closed"][i];
      if (expected.is_null()) {
        CHECK_THROWS_AS(render(messages, prompt), std::invalid_argument);
      } else {
        CHECK(render(messages, prompt) == expected.get<std::string>());
      }
    }
  }
}

void check_format(const Json& entry, const Json& conversations, const std::string& text) {
  ChatFormat format = load_published(entry, text);
  CHECK(format.name() == entry["format"]);
  CHECK(format.end_of_turn() == entry["end_of_turn"]);
  if (entry.contains("date")) format = format.with_date(entry["date"]);
  check_conversations(entry, conversations, [&](const auto& messages, bool prompt) {
    return format.render(messages, prompt);
  });
}

TEST_CASE("conversations are rendered as jinja2 renders the published templates", "[text]") {
  const Json golden = chat_golden();
  std::size_t checked = 0;
  for (const Json& entry : golden["templates"]) {
    if (entry.contains("text")) {
      check_format(entry, golden["conversations"], entry["text"]);
    } else {  // a Llama template: its text is not ours to publish
      std::optional<std::string> date;
      if (entry["name"] != "Meta-Llama-3-8B-Instruct") date = entry.value("date", "26 Jul 2024");
      const detail::LlamaWriter writer{entry["bos_token"], date};
      CHECK(writer.end_of_turn() == entry["end_of_turn"]);
      check_conversations(entry, golden["conversations"], [&](const auto& messages, bool prompt) {
        std::string out;
        writer.write(messages, prompt, out);
        return out;
      });
    }
    ++checked;
  }
  CHECK(checked >= 16);
}

TEST_CASE("Llama's own texts are recognised", "[text][real]") {
  const char* folder = std::getenv("PROMPTDISTILL_TEMPLATES_DIR");
  if (folder == nullptr) {
    WARN(
        "skipped: PROMPTDISTILL_TEMPLATES_DIR names no folder; tests/golden/make_chat_golden.py "
        "fills one");
    return;
  }
  const Json golden = chat_golden();
  for (const Json& entry : golden["templates"]) {
    const auto file = std::filesystem::path(folder) / (entry["name"].get<std::string>() + ".jinja");
    INFO(file);
    std::ifstream in(file, std::ios::binary);
    REQUIRE(in);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    check_format(entry, golden["conversations"], text);
    if (entry["name"] == "Llama-3.1-8B-Instruct")
      CHECK(load_published(entry, text).date() == "26 Jul 2024");
    if (entry["name"] == "Llama-3.2-3B-Instruct")
      CHECK(load_published(entry, text).date() == detail::today());
  }
}

TEST_CASE("SmolLM2's chats are rendered as by transformers", "[text][real]") {
  const auto folder = test::real_model();
  if (!folder) return;
  const ChatFormat format = ChatFormat::load(*folder);
  CHECK(format.default_system() ==
        "You are a helpful AI assistant named SmolLM, trained by Hugging Face");
  const Json golden = test::smollm2_golden();
  REQUIRE(golden["chats"].size() >= 8);
  for (const Json& chat : golden["chats"]) {
    std::vector<ChatMessage> messages;
    for (const Json& m : chat["messages"]) messages.push_back({m["role"], m["content"]});
    CHECK(format.render(messages) == chat["prompt"].get<std::string>());
    CHECK(format.render(messages, false) == chat["closed"].get<std::string>());
  }
}

TEST_CASE("ChatML with a default system message", "[text]") {
  const ChatFormat format = load(kSmolLm2);
  CHECK(format.default_system() == "You are kind");
  CHECK(format.end_of_turn() == "<|im_end|>");
  const std::string question = "<|im_start|>user\nHi<|im_end|>\n",
                    answer = "<|im_start|>assistant\n";
  CHECK(format.prompt("Hi") == "<|im_start|>system\nYou are kind<|im_end|>\n" + question + answer);
  CHECK(format.prompt("Hi", "") == "<|im_start|>system\n<|im_end|>\n" + question + answer);
  CHECK(format.prompt("Hi", "Be brief") ==
        "<|im_start|>system\nBe brief<|im_end|>\n" + question + answer);
  const std::vector<ChatMessage> late{{"user", "Hi"}, {"system", "s"}};
  CHECK(format.render(late, false) == "<|im_start|>system\nYou are kind<|im_end|>\n" + question +
                                          "<|im_start|>system\ns<|im_end|>\n");
  CHECK(format.render({}) == answer);
  CHECK(format.render({}, false).empty());
  CHECK(load(replaced(kSmolLm2, "You are kind", "")).default_system() == "");
}

TEST_CASE("ChatML without a default system message, however it is laid out", "[text]") {
  for (const char* source : {kPlain, kLaidOut}) {
    const ChatFormat format = load(source);
    CHECK_FALSE(format.default_system());
    CHECK(format.prompt("Hi") == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  }
  std::string windows = kLaidOut;
  for (std::size_t at = 0; (at = windows.find('\n', at)) != windows.npos; at += 2)
    windows.insert(at, "\r");
  CHECK_NOTHROW(load(windows));
}

TEST_CASE("the template may be one of several or a file of its own", "[text]") {
  CHECK(load({{{"name", "tool_use"}, {"template", "x"}},
              {{"name", "default"}, {"template", kSmolLm2}}})
            .default_system() == "You are kind");
  CHECK(has(complaint({{{"name", "tool_use"}, {"template", "x"}}}),
            "chat_template must have a template named \"default\""));
  CHECK(has(complaint({{{"name", "default"}}}), "chat_template[0].template is missing"));
  const test::TemporaryFolder folder;
  folder.write("tokenizer_config.json", Json{{"chat_template", kPlain}}.dump());
  folder.write("chat_template.jinja", kSmolLm2);
  CHECK(ChatFormat::load(folder.path()).default_system() == "You are kind");
}

TEST_CASE("a template that would write anything else is refused", "[text]") {
  const std::pair<const char*, const char*> changes[] = {
      {"<|im_end|>' + '\n'}}", "<|im_end|>'}}"},
      {"'<|im_start|>assistant\n'", "'<|im_start|>assistant'"},
      {"message['content']", "message['content'] | trim"},
      {"message['content']", "(message['content'])"},
      {"message['role'] + '\n'", "message['role'] + ' '"},
      {"message['role'] +", "message }}{{ ['role'] +"},
      {"in messages %}", "in messages[1:] %}"},
      {"!= 'system'", "== 'system'"},
      {"messages[0]", "messages[1]"},
      {"<|im_start|>system\n", "<|im_start|>tool\n"},
      {"{% endfor %}", "{% endfor %} "},
      {"{% endfor %}", "{# comment {% endfor %}"},
      {"{{'<|im_start|>'", "{{'<|im_start|>' | upper"},
      {"message['role'] +", "message['role'] if x else '' +"},
      {"'\n' + message", "1 + message"},
      {"{% endfor %}", "{{ bos_token }}{% endfor %}"},
      {"{% endif %}{{", "{% endif %}{{ '\\x41' }}{{"},
      {"{% endif %}{{", "{% endif %} {{"},
      {"{% for", "{% for {{"},
      {"kind<|im_end|>\n", "kind<|im_end|>"},
      {"kind", "kind' + name + '"},
  };
  for (const auto& [from, to] : changes) {
    INFO(from << " -> " << to);
    CHECK(has(complaint(replaced(kSmolLm2, from, to)),
              "chat_template must be a published one of ChatML, Llama 3, Phi-3 or Mistral, got "
              "another (fingerprint "));
  }
  const std::string whole = kLaidOut;
  for (std::size_t length = 0; length + 4 < whole.size(); ++length) {
    if (!has(complaint(whole.substr(0, length)), "must be a published one")) FAIL_CHECK(length);
  }
  CHECK(has(complaint("[INST] {{ messages }}" + std::string(1000, 'x')),
            "that begins \"[INST] {{ messages }}xxx"));
  CHECK(has(complaint("{{ a }}\n{{ b }}"), "that begins \"{{ a }} {{ b }}\""));
  CHECK(has(complaint("{{ messages }}"),
            "; without one, write the markers into the prompt and encode it as it is (programs: "
            "leave out --chat)"));
  CHECK(complaint(std::string(100'000, '{')).size() < 500);
  const std::string padding(300'000, ' ');
  CHECK(has(complaint("{#" + padding + "#}" + kPlain), "got another (fingerprint none)"));
}

TEST_CASE("one format's checkpoints differ in their default system message", "[text]") {
  const Json qwen = published("Qwen2.5-7B-Instruct");
  const std::string text = qwen["text"],
                    line = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";
  CHECK(load_published(qwen, text).default_system() == line);
  const std::string once = replaced(text, line, "Be kind"), both = replaced(once, line, "Be kind");
  CHECK(load_published(qwen, both).default_system() == "Be kind");
  CHECK(has(complaint(once), "must be a published one"));
}

TEST_CASE("bos_token may be an object, and must be there where it is written", "[text]") {
  const Json mistral = published("Mistral-Nemo-Instruct-2407"),
             qwen = published("Qwen2.5-7B-Instruct");
  Json config = config_of(mistral, mistral["text"]);
  const auto prompt = [&] {
    return test::load_from<ChatFormat>("tokenizer_config.json", config.dump()).prompt("Hi");
  };
  const auto error = [&] {
    return test::load_error<ChatFormat>("tokenizer_config.json", config.dump());
  };
  config["bos_token"] = {{"__type", "AddedToken"}, {"content", "<bos>"}};
  CHECK(prompt() == "<bos>[INST]Hi[/INST]");
  config["bos_token"] = {{"text", "<bos>"}};
  CHECK(has(error(), "tokenizer_config.json: bos_token.content is missing"));
  config["bos_token"] = 1;
  CHECK(has(error(), "bos_token must be a string, got 1"));
  config["bos_token"] = nullptr;
  CHECK(has(error(), "bos_token is missing: this checkpoint's chat template writes it"));
  config["bos_token"] = "<s>";
  config.erase("eos_token");
  CHECK(has(error(), "eos_token is missing: this checkpoint's chat template writes it"));
  // A template in a file of its own takes them from the same place.
  const test::TemporaryFolder folder;
  folder.write("chat_template.jinja", mistral["text"].get<std::string>());
  CHECK(has(test::load_error<ChatFormat>(folder),
            "tokenizer_config.json: the file cannot be opened"));
  folder.write("tokenizer_config.json", R"({"bos_token": "<1>", "eos_token": "<2>"})");
  CHECK(ChatFormat::load(folder.path()).prompt("Hi") == "<1>[INST]Hi[/INST]");
  CHECK(ChatFormat::load(folder.path()).end_of_turn() == "<2>");
  folder.write("chat_template.jinja", qwen["text"].get<std::string>());
  folder.write("tokenizer_config.json", "{}");
  CHECK(ChatFormat::load(folder.path()).name() == "ChatML");
}

TEST_CASE("conversations that a format cannot hold are refused with the rule", "[text]") {
  const auto refusal = [](const char* name,
                          const std::vector<ChatMessage>& messages) -> std::string {
    const Json entry = published(name);
    try {
      load_published(entry, entry["text"]).render(messages);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "accepted";
  };
  const ChatMessage system{"system", "s"}, user{"user", "u"}, tool{"tool", "t"};
  CHECK(
      refusal("Mistral-7B-Instruct-v0.3", {user, user}) ==
      "promptdistill: this chat format's turns must alternate, user first after an optional system "
      "message, got user where assistant must be");
  CHECK(refusal("Mistral-7B-Instruct-v0.2, without system messages", {system, user}) ==
        "promptdistill: this chat format's turns must alternate, user first and without a system "
        "message, got system where user must be");
  CHECK(refusal("Qwen2.5-7B-Instruct", {}) ==
        "promptdistill: a conversation must have at least one message, got none");
  for (const char* name : {"Qwen2.5-7B-Instruct", "Phi-3.5-mini-instruct"})
    CHECK(refusal(name, {user, tool}) ==
          "promptdistill: a message's role must be system, user or assistant, got tool");
  CHECK(
      has(refusal("Mistral-Nemo-Instruct-2407", {user, tool}), "got tool where assistant must be"));
  CHECK(refusal("Qwen2-7B-Instruct", {user, tool}) == "accepted");  // writes every role alike
}

TEST_CASE("a date is for Llama's formats", "[text]") {
  const ChatFormat format = load(kSmolLm2);
  CHECK_FALSE(format.date());
  CHECK_THROWS_WITH(format.with_date("1 Jan 2030"),
                    "promptdistill: a date must be for a chat format that writes one (Llama 3.1 to "
                    "3.3), got ChatML");
  char expected[12];
  const std::time_t now = std::time(nullptr);
  std::strftime(expected, sizeof expected, "%d %b %Y", std::localtime(&now));
  CHECK(detail::today() == expected);
}

TEST_CASE("a checkpoint without a chat format says so", "[text]") {
  const auto error = [](const char* text) {
    return test::load_error<ChatFormat>("tokenizer_config.json", text);
  };
  CHECK(has(error("{}"),
            "tokenizer_config.json: chat_template is missing: this checkpoint defines no chat "
            "format; without one, write the markers"));
  CHECK(has(complaint(nullptr),
            "chat_template is missing: this checkpoint defines no chat format; without one, write "
            "the markers"));
  CHECK(has(complaint(3), "chat_template must be a string, got 3"));
  CHECK(has(complaint({3}), "chat_template[0] must be an object, got 3"));
  CHECK(has(error("[]"), "file must be an object, got an array"));
  CHECK(has(error("{"), "file must be JSON: "));
  const test::TemporaryFolder folder;
  CHECK(has(test::load_error<ChatFormat>(folder),
            "tokenizer_config.json: the file cannot be opened"));
}

}  // namespace
}  // namespace promptdistill
