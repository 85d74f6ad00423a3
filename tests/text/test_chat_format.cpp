// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// ChatFormat: which templates are recognised, and text against transformers.

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
      {"{% endfor %}", "{# comment #}{% endfor %}"},
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
              "chat_template must be a known one: ChatML, with or without a default system "
              "message; it begins \"{%"));
  }
  const std::string whole = kLaidOut;
  for (std::size_t length = 0; length + 4 < whole.size(); ++length) {
    if (!has(complaint(whole.substr(0, length)), "must be a known one")) FAIL_CHECK(length);
  }
  CHECK(has(complaint("[INST] {{ messages }}" + std::string(1000, 'x')),
            "it begins \"[INST] {{ messages }}xxx"));
  CHECK(complaint(std::string(100'000, '{')).size() < 500);
}

TEST_CASE("a checkpoint without a chat format says so", "[text]") {
  const auto error = [](const char* text) {
    return test::load_error<ChatFormat>("tokenizer_config.json", text);
  };
  CHECK(has(
      error("{}"),
      "tokenizer_config.json: chat_template is missing: this checkpoint defines no chat format"));
  CHECK(
      has(complaint(nullptr), "chat_template is missing: this checkpoint defines no chat format"));
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
