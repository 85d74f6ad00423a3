// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Profiles: what is read, and every refusal by file and key.

#include <ATen/ATen.h>  // before Catch2: its CHECK is the one to have

#include "promptdistill/model/profile.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"

namespace promptdistill::test {
namespace {

using Json = nlohmann::json;

Json valid() {
  return Json::parse(R"({"version":1,"name":"a b","fingerprint":"0123456789abcdef",
    "scorer":"window","window":16,"heads":"14:1,3;20:3","pool":15,"protect_first":4,
    "stages":"14:512,20:25%","truncate":"1","evidence":{"right":[1,2]}})");
}

std::string refusal_of_text(const std::string& text) {
  const TempDir dir;
  const auto path = dir.write("p.json", text);
  const std::string message = message_of<LoadError>([&] { Profile::load(path); });
  const std::string start = "promptdistill: " + path.string() + ": ";
  return message.starts_with(start) ? message.substr(start.size()) : message;
}

std::string refusal(const std::string& key, const Json& value) {
  Json json = valid();
  json[key] = value;
  return refusal_of_text(json.dump());
}

TEST_CASE("a profile is read", "[model]") {
  const TempDir dir;
  const Profile profile = Profile::load(dir.write("p.json", valid().dump()));
  CHECK(profile.name == "a b");
  CHECK(profile.fingerprint == "0123456789abcdef");
  CHECK(profile.options.scorer == ScorerKind::kWindow);
  CHECK(profile.options.window == 16);
  CHECK(profile.options.heads == HeadMap{{14, {1, 3}}, {20, {3}}});
  CHECK(profile.options.pool == 15);
  CHECK(profile.options.protect_first == 4);
  CHECK(to_string(profile.options.stages) == "14:512,20:25%");
  CHECK(profile.options.truncated_stages == 1);
  CHECK(profile.evidence == Json{{"right", {1, 2}}});
  CHECK(profile.options.skip_last == 0);  // where it is not named
  Json skipping = valid();
  skipping["skip_last"] = 5;
  CHECK(profile.options.protect_last == 0);
  skipping["protect_last"] = 64;
  const DistillOptions both = Profile::load(dir.write("p.json", skipping.dump())).options;
  CHECK(both.skip_last == 5);
  CHECK(both.protect_last == 64);
}

TEST_CASE("each key that is missing is named", "[model]") {
  const Json whole = valid();
  for (const auto& [key, value] : whole.items()) {
    Json json = whole;
    json.erase(key);
    CHECK(refusal_of_text(json.dump()) == "key " + key + " is missing");
  }
}

TEST_CASE("each value of the wrong type is named and shown", "[model]") {
  for (const char* key : {"version", "window", "pool", "protect_first"})
    CHECK(refusal(key, "1") == "key " + std::string(key) + " must be an integer, got \"1\"");
  for (const char* key : {"name", "fingerprint", "scorer", "heads", "stages", "truncate"})
    CHECK(refusal(key, 1) == "key " + std::string(key) + " must be a string, got 1");
  CHECK(refusal("evidence", Json::array()) == "key evidence must be a JSON object");
}

TEST_CASE("another version is refused", "[model]") {
  for (const std::int64_t version : {0, 2, -1, 100})
    CHECK(refusal("version", version) == "key version must be 1, got " + std::to_string(version));
}

TEST_CASE("each setting against a rule is a LoadError with the rule", "[model]") {
  const auto says = [](const std::string& key, const Json& value, const std::string& rule) {
    const std::string text = refusal(key, value);
    INFO(key << ": " << text);
    CHECK(text.starts_with("the settings: promptdistill: "));
    CHECK(contains(text, rule));
  };
  says("scorer", "best", "the scorer must be last, window or raw, got 'best'");
  says("window", 0, "an observation window must have at least 1 query, got 0");
  says("pool", 4, "a pooling kernel must be odd and at least 1, got 4");
  says("pool", -1, "a pooling kernel must be odd and at least 1, got -1");
  says("protect_first", -1, "must not be negative, got -1");
  says("skip_last", -1, "must not be negative, got -1");
  says("protect_last", -1, "must not be negative, got -1");
  says("heads", "14", "voting heads must read LAYER:HEAD");
  says("heads", "14:x", "a voting head must be a number, got 'x'");
  says("heads", "14:1;14:2", "got layer 14 twice");
  says("heads", "-1:1", "layer -1 must exist");
  says("stages", "14", "a stage must read LAYER:BUDGET");
  says("stages", "14:0", "must be at least 1 token, got 0");
  says("stages", "14:101%", "must be a share above 0 and at most 1");
  says("stages", "14:nan%", "must be a share above 0 and at most 1");
  says("stages", "20:1,14:1", "must be in ascending order of distinct layers");
  says("stages", "14:99999999999999999999", "a stage's budget must be a number");
  says("truncate", "3", "must be between 0 and the 2 stages, or all, got 3");
  says("truncate", "some", "must be a number, got 'some'");
  says("truncate", "-1", "must be none, all or at least 0, got -1");
}

TEST_CASE("hostile profiles are refused", "[model]") {
  for (const char* bad : {"", "{", "\xff", "{\"version\":1"})
    CHECK(refusal_of_text(bad).starts_with("the file must be JSON: "));
  CHECK(refusal_of_text("[]") == "the file must be a JSON object");
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  CHECK(refusal_of_text("{\"version\":1,\"evidence\":" + deep + "}") ==
        "the file must nest at most 100 deep");
  CHECK(refusal("window", UINT64_MAX) == "key window must be an integer, got 18446744073709551615");
  const TempDir dir;
  CHECK(message_of<LoadError>([&] { Profile::load(dir / "none"); }) ==
        "promptdistill: " + (dir / "none").string() + ": the file cannot be opened");
}

TEST_CASE("a profile of another checkpoint is refused by both fingerprints", "[model]") {
  Profile profile;
  profile.fingerprint = "aaaa";
  CHECK(message_of<LoadError>([&] { profile.check_fingerprint("p.json", "aaaa"); }) ==
        "nothing was thrown");
  const std::string text =
      message_of<LoadError>([&] { profile.check_fingerprint("p.json", "bbbb"); });
  CHECK(
      text.starts_with("promptdistill: p.json: key fingerprint says it was made for another "
                       "checkpoint (aaaa), this one is bbbb"));
}

}  // namespace
}  // namespace promptdistill::test
