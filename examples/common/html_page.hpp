#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// One self-contained HTML page that shows a prompt, the tokens each stage kept standing out.

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "examples/common/units.hpp"
#include "examples/common/write_file.hpp"

namespace promptdistill::examples {

struct HtmlStage {
  std::int64_t layer = 0;
  std::string budget;                        // as the user wrote it
  std::vector<std::int64_t> kept_positions;  // ascending, into HtmlPage::tokens
};

struct HtmlPage {
  std::string title, model;
  std::vector<std::string> tokens;  // raw bytes of each; a UTF-8 character may span several tokens
  std::vector<HtmlStage> stages;    // in layer order, each a subset of the one before
  std::vector<std::pair<std::string, std::string>> facts;    // name, text
  std::vector<std::pair<std::string, std::string>> answers;  // method, text
};

/// The page as UTF-8; it loads nothing and works without its script. Tokens that share a character
/// are shown as one, kept as long as any of them is; invalid bytes become U+FFFD. Throws
/// std::invalid_argument where the stages contradict the tokens or each other.
inline std::string render(const HtmlPage& page);

/// Writes render(page) beside `path` and renames it, so that `path` is never half a page; devices
/// and pipes are written directly. Throws std::runtime_error with the path and the reason.
inline void write_html(const std::filesystem::path& path, const HtmlPage& page);

namespace detail::html {

inline constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#5b636d;--off:#8b9199;--line:#dde1e6;
--box:#f6f7f9;--ink:0 78 190;--on:#fff;--bar:rgb(var(--ink))}
@media screen and (prefers-color-scheme:dark){:root{--bg:#14171b;--fg:#e4e7eb;--dim:#9aa3ad;
--off:#69717b;--line:#30363d;--box:#1c2026;--ink:84 150 240;--on:#0c1116}}
body{max-width:1100px;margin:0 auto;padding:28px 32px 80px;background:var(--bg);color:var(--fg);
font:15px/1.5 system-ui,sans-serif}p{margin:2px 0 20px}p,th{color:var(--dim);font-weight:400}
h2{margin:0 0 4px;font-size:14px}pre+h2{margin-top:14px}table{border-spacing:0;font-size:14px}
pre{margin:0;font:inherit;white-space:pre-wrap;overflow-wrap:anywhere}h1{margin:0;font-size:25px}
td,th{padding:3px 0;text-align:right}tr>*+*{padding-left:18px}tr>:first-child{text-align:left}
.top{display:flex;flex-wrap:wrap;align-items:start;gap:18px;margin-bottom:20px}
.box{flex:1 1 280px;padding:14px 18px;border:1px solid var(--line);border-radius:8px;
background:var(--box)}div.box{flex:2 1 420px}.box:empty{display:none}.box th{vertical-align:top}
.box td{overflow-wrap:anywhere}.box pre{max-height:14em;overflow:auto}
.map{position:sticky;top:0;max-height:45vh;overflow:auto;margin:0 -16px 20px;padding:8px 16px;
background:var(--bg);border-bottom:1px solid var(--line)}.map table{width:100%}
.map tr>*{white-space:nowrap}.map th{font-size:12px}.map .strip{width:100%;text-align:left}
input{position:fixed;opacity:0}label{cursor:pointer;border-radius:5px}[for=hide]{float:right}
td:first-child label{display:inline-block;min-width:76px;padding:1px 10px}
[for=v0],[for=hide]{color:var(--fg)}[for=v0]{box-shadow:inset 0 0 0 1px var(--line)}
[for=hide]::before{content:"\2610\A0"}#hide:checked~.map [for=hide]::before{content:"\2611\A0"}
#v0:checked~.map [for=v0]{outline:2px solid var(--fg);outline-offset:2px}
#v0:focus-visible~.map [for=v0],#hide:focus-visible~.map [for=hide]{outline:3px solid var(--bar)}
svg{display:block;width:100%;height:26px;background:var(--box);border-bottom:1px solid var(--bar);
cursor:pointer}path{fill:var(--bar)}.axis{display:flex;justify-content:space-between}
#doc{max-width:860px;line-height:1.7}#doc *{font-weight:400;text-decoration:none}
#doc b{padding:2px 0}#doc i::before{content:"\21B5"}s,.off{color:var(--off)}
#hide:checked~#doc s{display:none}#hide:checked~#doc s+b::before{content:"\22EF"}
@media print{*{-webkit-print-color-adjust:exact;print-color-adjust:exact}[for=hide]{display:none}
body{padding:0 16px}.map{position:static}.map,.box pre{max-height:none}#doc{font-size:13px}}
)";

// A click on the overview goes to that token.
inline constexpr std::string_view kScript = R"(
onclick=e=>{const svg=e.target.closest('svg');if(!svg)return;const box=svg.getBoundingClientRect(),
all=[...document.querySelectorAll('#doc>*')],end=x=>+x.title.split('-').pop()+1,
at=(e.clientX-box.left)/box.width*end(all.at(-1)),x=all.find(x=>end(x)>at&&x.offsetParent);
x?.scrollIntoView({block:'center'});x?.animate({outline:['3px solid','0 solid']},2500)}
)";

/// Length of the UTF-8 sequence at `at`, and whether it is valid; else of what one U+FFFD replaces.
inline std::pair<std::size_t, bool> sequence(std::string_view s, std::size_t at) {
  const auto byte = [&](auto i) { return i < s.size() ? static_cast<std::uint8_t>(s[i]) : 0U; };
  const unsigned lead = byte(at);
  if (lead < 0x80) return {1, true};
  if (lead < 0xC2 || lead > 0xF4) return {1, false};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte excludes overlong forms, surrogates and what lies beyond U+10FFFF.
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(at + 1) < low || byte(at + 1) > high) return {1, false};
  for (std::size_t i = 2; i < length; ++i)
    if ((byte(at + i) & 0xC0U) != 0x80) return {i, false};
  return {length, true};
}

/// Appends the character at `at`, escaped for text; returns where the next one begins.
inline std::size_t append_escaped(std::string& out, std::string_view bytes, std::size_t at) {
  static constexpr std::string_view kSpecial = "&<>\"'";
  static constexpr std::string_view kEntities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
  const auto [length, valid] = sequence(bytes, at);
  const char c = bytes[at];
  if (!valid) {
    out += "\uFFFD";
  } else if (const auto special = kSpecial.find(c); special != std::string_view::npos) {
    out += kEntities[special];
  } else if (c == '\r') {  // "\r\n" over two spans would be two line breaks
    if (bytes.substr(at + 1, 1) != "\n") out += '\n';
  } else if ((c >= 0 && c < 0x20 && c != '\n' && c != '\t') || c == 0x7F) {
    (out += "\xE2\x90") += static_cast<char>(c == 0x7F ? 0xA1 : 0x80 + c);  // U+2400: a picture
  } else {
    out += bytes.substr(at, length);
  }
  return at + length;
}

inline std::string escape(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) at = append_escaped(out, text, at);
  return out;
}

/// How many stages each token survives.
inline std::vector<std::size_t> survival(const HtmlPage& page) {
  std::vector<std::size_t> level(page.tokens.size());
  for (std::size_t i = 0; i < page.stages.size(); ++i) {
    const HtmlStage& stage = page.stages[i];
    const auto fail = [&](const std::string& problem) {
      throw std::invalid_argument(fmt::format("promptdistill: layer {} {}", stage.layer, problem));
    };
    if (i > 0 && stage.layer <= page.stages[i - 1].layer) fail("must be above the stage before it");
    std::int64_t previous = -1;
    for (const std::int64_t p : stage.kept_positions) {
      if (p < 0 || p >= std::ssize(level))
        fail(fmt::format("keeps position {} of a prompt of {} tokens", p, level.size()));
      if (p <= previous) fail(fmt::format("keeps position {} after {}, not in order", p, previous));
      if (std::exchange(level[static_cast<std::size_t>(p)], i + 1) != i)
        fail(fmt::format("keeps position {}, which an earlier stage dropped", p));
      previous = p;
    }
  }
  return level;
}

struct Span {
  std::size_t first, last, level;  // tokens, inclusive; stages survived
  std::string text;                // escaped
};

/// Neighbours of one level as one span, after tokens that share a character have been joined.
inline std::vector<Span> spans(const std::vector<std::string>& tokens,
                               const std::vector<std::size_t>& level) {
  std::string bytes;
  std::vector<std::size_t> end;
  for (const std::string& token : tokens) end.push_back((bytes += token).size());
  std::vector<Span> out;
  for (std::size_t token = 0, at = 0; token < tokens.size(); ++token) {
    Span span{token, token, level[token], {}};
    while (at < end[token]) {
      at = append_escaped(span.text, bytes, at);
      while (end[token] < at) span.level = std::max(span.level, level[++token]);
    }
    if (out.empty() || out.back().level != span.level)
      out.push_back({span.first, token, span.level, {}});
    out.back().text += span.text;
    out.back().last = token;
  }
  return out;
}

/// The rules that depend on the number of stages: a shade per level, and what each view shows.
inline std::string stage_style(std::size_t levels) {
  std::string css, kept;  // kept: the levels that a view highlights
  for (std::size_t i = levels; i > 0; --i) {
    kept = fmt::format("{}{}.l{}", kept, kept.empty() ? "" : ",", i);
    // One ink at rising opacity: lightness alone tells the levels apart, on white and on black.
    const std::size_t opacity = levels == 1 ? 45 : 20 + 80 * (i - 1) / (levels - 1);
    css += fmt::format(R"(
.l{0},#v{0}:checked~#doc>:is({1}){{background:rgb(var(--ink)/{2}%);color:var(--{3})}}
#v{0}:checked~#doc>:not({1}){{background:none;color:var(--off)}}
#v{0}:checked~#hide:checked~#doc>:not({1}){{display:none}}
#v{0}:checked~#hide:checked~#doc>:not({1})+:is({1})::before{{content:"\22EF"}}
#v{0}:checked~.map [for=v{0}]{{outline:2px solid var(--fg);outline-offset:2px}}
#v{0}:focus-visible~.map [for=v{0}]{{outline:3px solid var(--bar)}})",
                       i, kept, opacity, opacity > 73 ? "on" : "fg");
  }
  return css;
}

/// Two table cells: the share of tokens kept along the prompt, and its peak, drawn at full height.
inline std::string strip(const HtmlStage& stage, std::int64_t tokens) {
  const std::int64_t bins = std::min<std::int64_t>(200, tokens);
  const auto begin = [&](std::int64_t bin) { return (bin * tokens + bins - 1) / bins; };
  std::vector<double> share(static_cast<std::size_t>(bins));
  for (const std::int64_t p : stage.kept_positions) {
    const std::int64_t bin = p * bins / tokens;
    share[static_cast<std::size_t>(bin)] += 1.0 / static_cast<double>(begin(bin + 1) - begin(bin));
  }
  const double peak = std::max(1e-9, *std::max_element(share.begin(), share.end()));
  std::string path;
  for (const double s : share) path += fmt::format("V{:.0f}h1", 100 - 100 * s / peak);
  return fmt::format(R"(<td><svg viewBox="0 0 {} 100" preserveAspectRatio=none aria-hidden=true>
<path d="M0 100{}V100z"/></svg><td>{:.0f} %)",
                     bins, path, 100 * peak);
}

/// Overview, legend and the buttons that choose a view.
inline std::string overview(const HtmlPage& page, const std::vector<std::size_t>& level) {
  const std::int64_t tokens = std::ssize(level);
  const std::int64_t dropped = std::count(level.begin(), level.end(), 0U);
  const std::string total = grouped(tokens);
  if (page.stages.empty() || tokens == 0)
    return fmt::format("<p>No selection: all {} tokens are kept at every layer.</p>\n", total);
  const double scale = 100 / static_cast<double>(tokens);
  std::string inputs, rows, axis;
  for (std::size_t i = 0; const HtmlStage& stage : page.stages) {
    const std::int64_t kept = std::ssize(stage.kept_positions);
    inputs += fmt::format("<input type=radio name=view id=v{}>", ++i);
    rows += fmt::format(
        "<tr><td><label class=l{0} for=v{0}>layer {1}</label><td>{2}<td>{3} / {4}<td>{5:.1f} %{6}",
        i, stage.layer, escape(stage.budget), grouped(kept), total,
        scale * static_cast<double>(kept), strip(stage, tokens));
  }
  for (int i = 0; i <= 4; ++i) axis += fmt::format("<span>{}</span>", grouped(tokens * i / 4));
  return fmt::format(R"(<input type=radio name=view id=v0 checked>{}<input type=checkbox id=hide>
<div class=map><table>
<tr><th>kept at<th>budget<th>kept / total<th>%<th class=strip>where in the prompt<th>densest
<tr class=off><td><label for=v0>all stages</label><td><td>{} dropped<td>{:.1f} %
<td><label for=hide>hide dropped tokens</label><td>
{}<tr><th><th><th><th><th><div class=axis>{}</div><th></table></div>
)",
                     inputs, grouped(dropped), scale * static_cast<double>(dropped), rows, axis);
}

}  // namespace detail::html

inline std::string render(const HtmlPage& page) {
  using namespace detail::html;
  const std::vector<std::size_t> level = survival(page);
  std::string answers, facts;
  for (const auto& [method, answer] : page.answers)
    answers += fmt::format("<h2>{}</h2><pre>\n{}</pre>\n", escape(method), escape(answer));
  for (const auto& [name, text] : page.facts)
    facts += fmt::format("<tr><th>{}<td>{}\n", escape(name), escape(text));
  std::string html = fmt::format(
      R"(<!doctype html>
<html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>{0}</title><style>{1}{2}</style><h1>{0}</h1><p>{3} &middot; {4} prompt tokens</p>
<div class=top><div class=box>{5}</div><table class=box>{6}</table></div>
{7}<pre id=doc dir=auto>)",
      escape(page.title), kStyle, stage_style(page.stages.size()), escape(page.model),
      grouped(std::ssize(level)), answers, facts, overview(page, level));
  for (const Span& span : spans(page.tokens, level)) {
    const char tag = span.level == 0 && !page.stages.empty() ? 's' : 'b';
    html += fmt::format("<{} title={}", tag, span.first);
    if (span.last != span.first) html += fmt::format("-{}", span.last);
    if (span.level > 0) html += fmt::format(" class=l{}", span.level);
    const bool breaks =
        !span.text.empty() && span.text.find_first_not_of('\n') == std::string::npos;
    html += fmt::format(">{}{}</{}>", breaks && span.level > 0 ? "<i></i>" : "", span.text, tag);
  }
  return html + fmt::format("</pre>\n<script>{}</script>\n", kScript);
}

inline void write_html(const std::filesystem::path& path, const HtmlPage& page) {
  write_file(path, render(page));
}

}  // namespace promptdistill::examples
