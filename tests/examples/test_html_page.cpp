// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0

#include "examples/common/html_page.hpp"

#ifdef __linux__
#include <sys/resource.h>

#include <csignal>
#endif

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/catch.hpp"

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using namespace promptdistill::examples;

namespace {

HtmlPage page_of(std::vector<std::string> tokens,
                 const std::vector<std::vector<std::int64_t>>& kept = {}) {
  HtmlPage page{"title", "model", std::move(tokens), {}, {}, {}};
  for (std::size_t i = 0; i < kept.size(); ++i)
    page.stages.push_back(
        {static_cast<std::int64_t>(7 * i), std::to_string(kept[i].size()), kept[i]});
  return page;
}

/// The document part of the page alone: the spans, as they are.
std::string document(const HtmlPage& page) {
  const std::string html = render(page), open = "<pre id=doc dir=auto>";
  const auto begin = html.find(open) + open.size();
  return html.substr(begin, html.find("</pre>\n<script>") - begin);
}

/// The text a browser shows for a document part.
std::string shown(const std::string& html) {
  const std::vector<std::pair<std::string, std::string>> entities{
      {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&#39;", "'"}, {"&amp;", "&"}};
  std::string text;
  for (std::size_t at = 0; at < html.size();) {
    if (html[at] == '<') {
      at = html.find('>', at) + 1;
    } else if (html[at] != '&') {
      text += html[at++];
    } else {
      for (const auto& [entity, character] : entities)
        if (html.compare(at, entity.size(), entity) == 0) {
          text += character;
          at += entity.size();
          break;
        }
    }
  }
  return text;
}

struct ParsedSpan {
  char tag = 0;
  std::size_t first = 0, last = 0, level = 0;
  std::string text;
};

/// The spans of a document part; throws where anything stands between them.
std::vector<ParsedSpan> parse(const std::string& html) {
  std::vector<ParsedSpan> spans;
  for (std::size_t at = 0; at < html.size();) {
    const std::size_t close = html.find('>', at), end = html.find("</", close);
    const std::string head = html.substr(at, close - at);
    const std::size_t dash = head.find('-'), level = head.find(" class=l");
    ParsedSpan span{head.at(1), std::stoul(head.substr(9)), 0, 0, {}};
    span.last = dash == std::string::npos ? span.first : std::stoul(head.substr(dash + 1));
    span.level = level == std::string::npos ? 0 : std::stoul(head.substr(level + 8));
    span.text = html.substr(close + 1, end - close - 1);
    spans.push_back(span);
    at = end + 4;
  }
  return spans;
}

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct TemporaryFolder {
  fs::path path =
      fs::temp_directory_path() / ("html_page_" + std::to_string(std::random_device{}()));
  TemporaryFolder() { fs::create_directory(path); }
  ~TemporaryFolder() { fs::remove_all(path); }
  auto files() const { return std::distance(fs::directory_iterator(path), {}); }
};

}  // namespace

TEST_CASE("special tokens are text", "[examples]") {
  REQUIRE(document(page_of({"<|im_start|>"})) == "<b title=0>&lt;|im_start|&gt;</b>");
}

TEST_CASE("everything from outside is escaped", "[examples]") {
  const std::string evil = "</pre></title></style><script>alert(\"1\")</script>&'";
  HtmlPage page = page_of({evil, "b"}, {{0}});
  page.title = page.model = page.stages[0].budget = evil;
  page.facts = {{evil, evil}};
  page.answers = {{evil, evil}};
  const std::string html = render(page);
  REQUIRE_THAT(html, !Contains("alert(\"") && !Contains("</pre></title>") && !Contains(">&'"));
  const std::string escaped =
      "&lt;/pre&gt;&lt;/title&gt;&lt;/style&gt;&lt;script&gt;alert(&quot;1&quot;)"
      "&lt;/script&gt;&amp;&#39;";
  std::size_t count = 0;
  for (auto at = html.find(escaped); at != std::string::npos; at = html.find(escaped, at + 1))
    ++count;
  REQUIRE(count == 9);  // title twice, model, budget, two of a fact, two of an answer, a token
}

TEST_CASE("line breaks and control characters", "[examples]") {
  REQUIRE(document(page_of({"a\n\n  b\tc"})) == "<b title=0>a\n\n  b\tc</b>");
  REQUIRE(shown(document(page_of({"a\r", "\nb\rc\r"}, {{0}}))) == "a\nb\nc\n");
  REQUIRE(shown(document(page_of({std::string("\0\x1B\x7F", 3)}))) == "\u2400\u241B\u2421");
  // A kept line break on its own would not be seen.
  REQUIRE(document(page_of({"a", "\n", "b"}, {{1}})) ==
          "<s title=0>a</s><b title=1 class=l1><i></i>\n</b><s title=2>b</s>");
}

TEST_CASE("a character split over tokens is whole, and kept if any part of it is", "[examples]") {
  const std::vector<std::string> apple{"x", "\xF0\x9F", "", "\x8D", "\x8E y", "z"};
  REQUIRE(document(page_of(apple, {{3}})) ==
          "<s title=0>x</s><b title=1-4 class=l1>\U0001F34E y</b><s title=5>z</s>");
  REQUIRE(
      document(page_of(apple, {{0, 1, 5}, {1}})) ==
      "<b title=0 class=l1>x</b><b title=1-4 class=l2>\U0001F34E y</b><b title=5 class=l1>z</b>");
  // Characters that overlap like chain links are one group.
  REQUIRE(document(page_of({"\xC3", "\xA9\xC3", "\xA9", "a"}, {{2}})) ==
          "<b title=0-2 class=l1>\u00E9\u00E9</b><s title=3>a</s>");
}

TEST_CASE("invalid bytes are replaced and nothing else is lost", "[examples]") {
  const auto text = [](std::vector<std::string> tokens) {
    return shown(document(page_of(std::move(tokens))));
  };
  REQUIRE(text({"a\xFF", "b"}) == "a\uFFFDb");
  REQUIRE(text({"\xE2\x82", "b"}) == "\uFFFDb");            // cut short: one, and b survives
  REQUIRE(text({"b\xE2\x82"}) == "b\uFFFD");                // cut short by the end
  REQUIRE(text({"\xC0\xAF"}) == "\uFFFD\uFFFD");            // overlong
  REQUIRE(text({"\xED\xA0\x80"}) == "\uFFFD\uFFFD\uFFFD");  // surrogate
  REQUIRE(text({"\xF4\x90\x80\x80"}) == "\uFFFD\uFFFD\uFFFD\uFFFD");  // beyond U+10FFFF
  REQUIRE(text({"\xF4\x8F\xBF\xBF\xED\x9F\xBF\xE0\xA0\x80"}) == "\U0010FFFF\uD7FF\u0800");
  REQUIRE(document(page_of({"\xE2\x82", "b"}, {{1}})) ==
          "<s title=0>\uFFFD</s><b title=1 class=l1>b</b>");  // not joined with what follows
  HtmlPage page = page_of({});
  page.title = "\xFF";
  REQUIRE_THAT(render(page), Contains("<h1>\uFFFD</h1>"));
}

TEST_CASE("spans say exactly which tokens survive how many stages", "[examples]") {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::string> tokens(97);
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = "[" + std::to_string(i) + "]";
    std::vector<std::vector<std::int64_t>> kept(3);
    std::vector<std::size_t> level(tokens.size(), 0);
    for (std::size_t i = 0; i < tokens.size(); ++i)
      for (std::size_t stage = 0; stage < 3 && random() % 3 != 0; ++stage) {
        kept[stage].push_back(static_cast<std::int64_t>(i));
        ++level[i];
      }
    std::size_t next = 0, before = 9;
    for (const ParsedSpan& span : parse(document(page_of(tokens, kept)))) {
      REQUIRE(span.first == next);
      REQUIRE(span.last < tokens.size());
      REQUIRE(span.tag == (span.level > 0 ? 'b' : 's'));
      REQUIRE(span.level != before);  // else it should have been merged
      std::string text;
      for (; next <= span.last; ++next) {
        REQUIRE(level[next] == span.level);
        text += tokens[next];
      }
      REQUIRE(span.text == text);
      before = span.level;
    }
    REQUIRE(next == tokens.size());
  }
}

TEST_CASE("the legend counts tokens", "[examples]") {
  std::vector<std::string> tokens(4000, "a");
  HtmlPage page = page_of(tokens, {{0, 1, 2, 3, 10, 20, 3990, 3999}, {0, 3999}});
  page.stages[0].budget = "ratio <0.1>";
  const std::string html = render(page);
  REQUIRE_THAT(html, Contains("for=v1>layer 0</label><td>ratio &lt;0.1&gt;<td>8 / 4,000<td>0.2 %"));
  REQUIRE_THAT(html, Contains("for=v2>layer 7</label><td>2<td>2 / 4,000<td>0.1 %"));
  REQUIRE_THAT(html, Contains("<td>3,992 dropped<td>99.8 %"));
  REQUIRE_THAT(html, Contains("id=v0 checked") && Contains("id=v2>") && !Contains("id=v3>"));
  // 200 bins of 20 tokens: five in the first, one in the second, two in the last.
  REQUIRE_THAT(html,
               Contains("d=\"M0 100V0h1V80h1V100h1") && Contains("V60h1V100z\"/></svg><td>25 %"));
}

TEST_CASE("the overview covers any number of tokens", "[examples]") {
  for (const std::size_t count : {1U, 2U, 199U, 200U, 201U, 399U, 1000U}) {
    std::vector<std::int64_t> all(count);
    for (std::size_t i = 0; i < count; ++i) all[i] = static_cast<std::int64_t>(i);
    const std::string html = render(page_of(std::vector<std::string>(count, "a"), {all, {}}));
    std::string full = "M0 100";
    for (std::size_t i = 0; i < std::min<std::size_t>(count, 200); ++i) full += "V0h1";
    REQUIRE_THAT(html, Contains(full + "V100z\"/></svg><td>100 %"));
    REQUIRE_THAT(html, Contains("<td>0 / ") && !Contains("nan") && !Contains("inf "));
  }
}

TEST_CASE("no stages, no tokens", "[examples]") {
  const std::string html = render(page_of({"all", " kept"}));
  REQUIRE_THAT(html, Contains("all 2 tokens are kept") && Contains("<b title=0-1>all kept</b>"));
  REQUIRE_THAT(html, !Contains("<s ") && !Contains("<svg") && !Contains("<input"));
  REQUIRE(document(page_of({})).empty());
  REQUIRE(document(page_of({}, {{}, {}})).empty());
  REQUIRE(document(page_of({"a", "b"}, {{}})) == "<s title=0-1>ab</s>");
}

TEST_CASE("stages that contradict the tokens or each other are refused", "[examples]") {
  const std::vector<std::string> tokens{"a", "b", "c"};
  const auto message = [&](const std::vector<std::vector<std::int64_t>>& kept) -> std::string {
    try {
      render(page_of(tokens, kept));
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "accepted";
  };
  REQUIRE(message({{0, 1, 2}}) == "accepted");
  REQUIRE(message({{0, 3}}) == "promptdistill: layer 0 keeps position 3 of a prompt of 3 tokens");
  REQUIRE(message({{-1}}) == "promptdistill: layer 0 keeps position -1 of a prompt of 3 tokens");
  REQUIRE(message({{0, 2}, {1}}) ==
          "promptdistill: layer 7 keeps position 1, which an earlier stage dropped");
  REQUIRE(message({{1, 0}}) == "promptdistill: layer 0 keeps position 0 after 1, not in order");
  REQUIRE(message({{1, 1}}) == "promptdistill: layer 0 keeps position 1 after 1, not in order");
  HtmlPage page = page_of(tokens, {{0, 1}, {1}});
  page.stages[1].layer = 0;
  REQUIRE_THROWS_WITH(render(page), "promptdistill: layer 0 must be above the stage before it");
}

TEST_CASE("the page is small and loads nothing", "[examples]") {
  std::vector<std::string> tokens;
  std::vector<std::vector<std::int64_t>> kept(3);
  for (std::int64_t i = 0; i < 8000; ++i) {
    tokens.push_back(i % 3 == 0 ? " the" : " word");
    if (i % 2 == 0) kept[0].push_back(i);  // no two neighbours alike: the worst case
    if (i % 4 == 0) kept[1].push_back(i);
    if (i % 8 == 0) kept[2].push_back(i);
  }
  const std::string html = render(page_of(tokens, kept));
  REQUIRE(html.size() < 300'000);
  REQUIRE_THAT(html,
               !Contains("http") && !Contains("src=") && !Contains("@import") && !Contains("url("));
}

TEST_CASE("a page is written whole, or not at all", "[examples]") {
  const TemporaryFolder folder;
  const fs::path path = folder.path / "page.html";
  const HtmlPage page = page_of({"a", "b"}, {{1}});

  write_html(path, page);
  REQUIRE(read(path) == render(page));
  write_html(path, page_of({"new"}));
  REQUIRE(read(path) == render(page_of({"new"})));
  REQUIRE(folder.files() == 1);

  const auto mode = fs::perms::owner_read | fs::perms::owner_write;
  fs::permissions(path, mode);
  write_html(path, page);
  REQUIRE(fs::status(path).permissions() == mode);

  fs::create_symlink("page.html", folder.path / "link.html");
  write_html(folder.path / "link.html", page);
  REQUIRE(fs::is_symlink(folder.path / "link.html"));
  REQUIRE(read(path) == render(page));

  REQUIRE_THROWS_AS(write_html(path, page_of({"a"}, {{9}})), std::invalid_argument);
  REQUIRE(read(path) == render(page));
  REQUIRE_THROWS_WITH(write_html(folder.path, page),
                      Contains("cannot write " + folder.path.string()));
  REQUIRE(folder.files() == 2);
}

TEST_CASE("a failed write names the path and the reason", "[examples]") {
  const HtmlPage page = page_of({"a"});
  REQUIRE_THROWS_AS(write_html("/nonexistent/dir/page.html", page), std::runtime_error);
  REQUIRE_THROWS_WITH(
      write_html("/nonexistent/dir/page.html", page),
      "promptdistill: cannot write /nonexistent/dir/page.html: No such file or directory");
#ifdef __linux__
  REQUIRE_THROWS_WITH(write_html("/dev/full", page),
                      "promptdistill: cannot write /dev/full: No space left on device");
  REQUIRE(fs::is_character_file("/dev/full"));
  REQUIRE_NOTHROW(write_html("/dev/null", page));
  REQUIRE(fs::is_character_file("/dev/null"));

  // A disk that fills up half way: the old page stays, the temporary file goes.
  const TemporaryFolder folder;
  const fs::path path = folder.path / "page.html";
  write_html(path, page);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{1000, before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  std::string message;
  try {
    write_html(path, page_of(std::vector<std::string>(100'000, "abc\n")));
  } catch (const std::runtime_error& error) {
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  REQUIRE(message == "promptdistill: cannot write " + path.string() + ": File too large");
  REQUIRE(read(path) == render(page));
  REQUIRE(folder.files() == 1);
#endif
}
