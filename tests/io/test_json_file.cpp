// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// JsonObject: every message names file and key; hostile JSON is a LoadError.

#include <ATen/ATen.h>  // before Catch2: its CHECK is the one to have

#include "promptdistill/io/json_file.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"

namespace promptdistill::test {
namespace {

JsonObject object(const std::string& text) {
  return JsonObject("a/config.json", nlohmann::json::parse(text));
}

template <class Call>
std::string failure(const Call& call) {
  const std::string start = "promptdistill: a/config.json: ";
  const std::string text = message_of<LoadError>(call);
  return text.starts_with(start) ? text.substr(start.size()) : text;
}

TEST_CASE("a value of its type is read, null counts as absent", "[io]") {
  const JsonObject json = object(
      R"({"b":true,"i":-3,"u":9223372036854775807,"d":1e-5,"n":4,"s":"x","o":{"k":1},"z":null})");
  CHECK(json.get<bool>("b"));
  CHECK(json.get<std::int64_t>("i") == -3);
  CHECK(json.get<std::int64_t>("u") == INT64_MAX);
  CHECK(json.get<double>("d") == 1e-5);
  CHECK(json.get<double>("n") == 4.0);
  CHECK(json.get<std::string>("s") == "x");
  CHECK(json.object("o").get<std::int64_t>("k") == 1);
  CHECK(json.has("b"));
  CHECK(!json.has("z"));
  CHECK(!json.has("y"));
  CHECK(json.get_or<std::int64_t>("z", 5) == 5);
  CHECK(json.get_or<std::string>("y", "w") == "w");
  CHECK(json.integer("i", -3, -3) == -3);
  CHECK(json.integer("y", 1, 9, 9) == 9);
}

TEST_CASE("a missing key is named, with the objects around it", "[io]") {
  const JsonObject json = object(R"({"o":{"p":{"z":null}},"z":null})");
  CHECK(failure([&] { json.get<bool>("x"); }) == "key x is missing");
  CHECK(failure([&] { json.get<double>("z"); }) == "key z is missing");
  CHECK(failure([&] { json.object("z"); }) == "key z is missing");
  CHECK(failure([&] { json.integer("x", 0, 1); }) == "key x is missing");
  CHECK(failure([&] { json.object("o").object("p").get<bool>("z"); }) == "key o.p.z is missing");
  try {
    json.get<bool>("x");
    FAIL("nothing was thrown");
  } catch (const LoadError& error) {
    CHECK(error.path() == "a/config.json");
    CHECK(error.subject() == "key x");
  }
}

TEST_CASE("a value of another type is shown", "[io]") {
  const JsonObject json = object(R"({"s":"x","i":1,"d":3.0,"b":false,"a":[1,2],"o":{"k":[]},)"
                                 R"("big":18446744073709551615,"neg":-9e18})");
  CHECK(failure([&] { json.get<bool>("i"); }) == "key i must be true or false, got 1");
  CHECK(failure([&] { json.get<bool>("s"); }) == "key s must be true or false, got \"x\"");
  CHECK(failure([&] { json.get<std::int64_t>("d"); }) == "key d must be an integer, got 3.0");
  CHECK(failure([&] { json.get<std::int64_t>("b"); }) == "key b must be an integer, got false");
  CHECK(failure([&] { json.get<std::int64_t>("big"); }) ==
        "key big must be an integer, got 18446744073709551615");
  CHECK(failure([&] { json.get<std::int64_t>("neg"); }) ==
        "key neg must be an integer, got -9e+18");
  CHECK(failure([&] { json.get<double>("s"); }) == "key s must be a number, got \"x\"");
  CHECK(failure([&] { json.get<double>("b"); }) == "key b must be a number, got false");
  CHECK(failure([&] { json.get<std::string>("a"); }) == "key a must be a string, got [1,2]");
  CHECK(failure([&] { json.get_or<std::string>("i", "x"); }) == "key i must be a string, got 1");
  CHECK(failure([&] { json.object("a"); }) == "key a must be a JSON object");
  CHECK(failure([&] { json.object("o").object("k"); }) == "key o.k must be a JSON object");
}

TEST_CASE("an integer out of its bounds is shown with them", "[io]") {
  const JsonObject json = object(R"({"i":5,"min":-9223372036854775808})");
  CHECK(failure([&] { json.integer("i", 6, 9); }) == "key i must be in [6, 9], got 5");
  CHECK(failure([&] { json.integer("i", 0, 4, 3); }) == "key i must be in [0, 4], got 5");
  CHECK(failure([&] { json.integer("min", 0, 4); }) ==
        "key min must be in [0, 4], got -9223372036854775808");
  CHECK(failure([&] { json.integer("x", 0, 4, 7); }) == "key x must be in [0, 4], got 7");
}

TEST_CASE("a value shown is short and ASCII", "[io]") {
  const std::string shown = JsonObject::shown(std::string(1000, 'x'));
  CHECK(shown.size() == 60);
  CHECK(shown.starts_with("\"xxx"));
  CHECK(shown.ends_with("xxx..."));
  CHECK(JsonObject::shown("ä\n\x1b") == "\"\\u00e4\\n\\u001b\"");
  CHECK(JsonObject::shown("\xff").size() <= 60);
}

TEST_CASE("a file that is not a JSON object is refused", "[io]") {
  const TempDir dir;
  const auto refusal = [&](const std::string& text) {
    const auto path = dir.write("x.json", text);
    const std::string message = message_of<LoadError>([&] { JsonObject::load(path); });
    const std::string start = "promptdistill: " + path.string() + ": the file ";
    return message.starts_with(start) ? message.substr(start.size()) : message;
  };
  CHECK(refusal(R"({"a":1})") == "nothing was thrown");
  for (const char* bad : {"", " ", "{", "{\"a\":}", "{}x", "{'a':1}", "{\"a\":1,}", "\xff\xfe",
                          "{\"a\":\"\xff\"}", "{\"a\":nan}", "{\"a\":1e400}", "// x\n{}"}) {
    INFO(bad);
    CHECK(refusal(bad).starts_with("must be JSON: "));
  }
  for (const char* other : {"[]", "null", "1", "\"x\"", "[{}]"})
    CHECK(refusal(other) == "must be a JSON object");
  CHECK(contains(message_of<LoadError>([&] { JsonObject::load(dir / "none"); }),
                 "none: the file cannot be opened"));
  CHECK(message_of<LoadError>([&] { JsonObject::load(dir.path()); }) != "nothing was thrown");
}

TEST_CASE("JSON nested a million deep is refused and does not end the process", "[io]") {
  const TempDir dir;
  const auto load = [&](std::int64_t depth, char open, char close) {
    const auto size = static_cast<std::size_t>(depth);
    return JsonObject::load(
        dir.write("x.json", "{\"a\":" + std::string(size, open) + std::string(size, close) + "}"));
  };
  CHECK(contains(message_of<LoadError>([&] { load(1'000'000, '[', ']').get<std::string>("a"); }),
                 "x.json: the file must nest at most 100 deep"));
  CHECK(contains(message_of<LoadError>([&] { load(50, '[', ']').get<std::string>("a"); }),
                 "key a must be a string, got [[["));
}

}  // namespace
}  // namespace promptdistill::test
