// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// TemplateLexer and TemplateFingerprint: what of a template counts.

#include <string>

#include "promptdistill/text/template_fingerprint.hpp"
#include "tests/catch.hpp"

namespace promptdistill {
namespace {

TEST_CASE("white space, quotes and comments of a template do not count", "[text]") {
  const auto print = [](const std::string& source) {
    const auto tokens = detail::TemplateLexer::read(source);
    return tokens ? detail::TemplateFingerprint::of(*tokens).value : 0;
  };
  const auto same = [&](const std::string& a, const std::string& b) {
    UNSCOPED_INFO(a << "\n" << b);
    return print(a) == print(b) && print(a) != 0;
  };
  CHECK(same("a{% if x %}b{% endif %}",
             "{# one\n #}a\n{#- two -#}\n{%- if x -%}\n b {#- -#}{% endif %}"));
  CHECK(same("{{ f('a', \"b\")[{'c': 1}] }}", "{{- f( \"a\",'b' ) [{ 'c':1}] -}}"));
  CHECK(same("{% if x %}\n  {# c #}\na", "{% if x %}a"));
  CHECK(same("{{ {'a': {'b': c}} }}", "{{{'a':{'b':c}}}}"));
  CHECK(same("x\n  {%+ if y %}", "x\n{{ '  ' }}{% if y %}"));
  CHECK(same("{{ a }}\n", "{{ a }}"));
  CHECK_FALSE(same("{{ a }}{# c #}\n\nb", "{{ a }}\n\nb"));
  CHECK_FALSE(same("x {# c -#} y", "x {# c #} y"));
  CHECK_FALSE(same("{{ f('a') }}", "{{ f(a) }}"));
  CHECK_FALSE(same("{{ f('a') }}", "{{ f( }}a{{ ) }}"));
  CHECK_FALSE(same("{{ 'a' | f }}", "a{{ f }}"));
  CHECK_FALSE(same("{% set a = 'b' + c %}", "{% set a = b + c %}"));
  CHECK(print("{{ 'a' + (b if c else d) }}") != 0);
  for (const char* unclear :
       {"{{ 'a' + b if c }}", "{{ a + 1 }}", "{{ a == b }}", "{{ a - b }}", "{{ a, b }}",
        "{{ not a }}", "{{ +a }}", "{# c +#}\na", "{{ a + }}", "{{ a ++ b }}", "{{ }}"})
    CHECK(print(unclear) == 0);
}

TEST_CASE("a default date is left out and told", "[text]") {
  const auto print = [](const std::string& source) {
    return detail::TemplateFingerprint::of(*detail::TemplateLexer::read(source));
  };
  const auto first = print("{% set date_string = \"26 Jul 2024\" %}{{ date_string }}"),
             second = print("{%- set date_string = '1 Jan 2030' -%} {{ date_string }}"),
             third = print("{% set other = '1 Jan 2030' %}{{ date_string }}");
  CHECK(first.date == "26 Jul 2024");
  CHECK(second.date == "1 Jan 2030");
  CHECK(first.value == second.value);
  CHECK_FALSE(third.date);
  CHECK(third.value != first.value);
}

}  // namespace
}  // namespace promptdistill
