// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Documents on disk: loaded they answer as before, and what is not theirs is refused.

#include <map>
#include <random>
#include <string>

#include "promptdistill/model.hpp"
#include "promptdistill/promptdistill.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"
#include "tests/io/tiny_lm.hpp"

namespace promptdistill::test {
namespace {

using Catch::Matchers::Contains;

AnyDistiller cut_at(std::int64_t layer) {
  DistillOptions options;
  options.stages = {{layer, Count{20}}};
  return make_distiller(options);
}

Document read_some(const CausalLm& lm, std::int64_t layer) {
  std::mt19937_64 random(51);
  return Document::read(lm, tensor_of(random_ids(random, 60, lm.config.vocab_size)), layer, 100);
}

GenerateResult answer(const Document& document, std::int64_t layer) {
  GenerateOptions options;
  options.max_new_tokens = 6;
  KvCache cache = document.model().make_cache(1, 6);
  return document.ask({5, 9, 2, 7}, cache, cut_at(layer), options);
}

TEST_CASE("a document that was saved answers as before, bit for bit", "[model]") {
  const auto dtype = GENERATE(at::kFloat, at::kBFloat16);
  const std::int64_t layer = GENERATE(0, 1, 2);
  const CausalLm lm = tiny("tiny-untied", dtype);
  const TempDir dir;
  Document document = read_some(lm, layer);
  const bool int8 = GENERATE(false, true);
  if (int8) document.to_int8();
  document.save(dir / "document", "one");
  Document loaded = Document::load(lm, dir / "document", "one");
  CHECK(loaded.tokens() == 60);
  CHECK(loaded.layer() == layer);
  CHECK(loaded.max_total_tokens() == 100);
  CHECK(at::equal(loaded.ids(), document.ids()));
  const auto check = [&] {
    const GenerateResult got = answer(loaded, layer), expected = answer(document, layer);
    CHECK(got.tokens == expected.tokens);
    CHECK(at::equal(got.last_logits, expected.last_logits));
    CHECK(at::equal(got.stages[0].kept_positions, expected.stages[0].kept_positions));
  };
  check();
  // In parts, saved over the file that is mapped.
  for (Document* each : {&document, &loaded}) each->extend(tensor_of({4, 4, 8}));
  check();
  loaded.save(dir / "document", "one");
  check();
  loaded = Document::load(lm, dir / "document", "one");
  CHECK(loaded.tokens() == 63);
  CHECK(loaded.is_int8() == int8);
  CHECK(loaded.bytes() == document.bytes());
}

TEST_CASE("a document of something else is refused", "[model]") {
  const CausalLm lm = tiny("tiny-untied");
  const TempDir dir;
  read_some(lm, 1).save(dir / "document", "one");
  const auto refused = [&](const CausalLm& model, const std::string& checkpoint) {
    return message_of<LoadError>([&] { Document::load(model, dir / "document", checkpoint); });
  };
  CHECK_THAT(refused(lm, "two"), Contains("was read by another checkpoint (one), this one is two"));
  CHECK_THAT(refused(tiny("tiny-untied", at::kBFloat16), "one"),
             Contains("must be BFloat16 as the model, got Float"));
  const auto file = [&] { return SafetensorsFile::open(dir / "document"); };
  const auto with = [&](const std::string& key, const std::string& value) {
    const SafetensorsFile was = file();
    auto metadata = was.metadata();
    metadata.erase(key);
    if (value != "none") metadata[key] = value;
    std::map<std::string, at::Tensor> tensors = checked_tensors(was);
    save_safetensors(dir / "document", tensors, metadata);
    const std::string message = refused(lm, "one");
    save_safetensors(dir / "document", tensors, was.metadata());
    return message;
  };
  CHECK_THAT(with("version", "2"), Contains("has version 2, this promptdistill reads version 1"));
  CHECK_THAT(with("version", "x"), Contains("setting version must be a whole number, got 'x'"));
  CHECK_THAT(with("format", "other"), Contains("is not a document that promptdistill saved"));
  CHECK_THAT(with("format", "none"), Contains("is not a document that promptdistill saved"));
  CHECK_THAT(with("layer", "none"), Contains("setting layer is missing"));
  CHECK_THAT(with("cache", "int4"), Contains("setting cache must be int8 or whole"));
  CHECK_THAT(with("cache", "int8"), Contains("tensor layers.0.keys must be Char"));
  CHECK_THAT(with("layer", "99"), Contains("setting layer must be one of the model's"));
  CHECK_THAT(with("layer", "2"), Contains("tensor layers.2.keys is missing"));
  CHECK_THAT(with("max_total_tokens", "59"), Contains("must be 1 to max_total_tokens long"));
  CHECK_THAT(with("max_total_tokens", "999999999"), Contains("must be within the model's context"));
  const auto without = [&](const std::string& name, const at::Tensor& instead) {
    const SafetensorsFile was = file();
    std::map<std::string, at::Tensor> tensors = checked_tensors(was);
    const auto whole = tensors;
    tensors.erase(name);
    if (instead.defined()) tensors.emplace(name, instead);
    save_safetensors(dir / "document", tensors, was.metadata());
    const std::string message = refused(lm, "one");
    save_safetensors(dir / "document", whole, was.metadata());
    return message;
  };
  CHECK_THAT(without("hidden", {}), Contains("tensor hidden is missing"));
  CHECK_THAT(without("layers.0.values", {}), Contains("tensor layers.0.values is missing"));
  CHECK_THAT(without("layers.0.values", at::zeros({1, 2, 3})), Contains("does not fit the model"));
  CHECK_THAT(without("ids", at::zeros({60}, at::kInt)), Contains("must be Long"));
  CHECK_THAT(without("ids", at::full({60}, std::int64_t{1} << 40)),
             Contains("tensor ids must be token ids of the model"));
  // The bytes themselves.
  std::string bytes = read_bytes(dir / "document");
  bytes[bytes.size() - 5] ^= 4;
  dir.write("document", bytes);
  CHECK_THAT(refused(lm, "one"), Contains("is damaged"));
  CHECK_THAT(message_of<LoadError>([&] { Document::load(lm, dir / "none", "one"); }),
             Contains("cannot be opened"));
  CHECK_THAT(message_of<SaveError>([&] { read_some(lm, 1).save(dir / "no" / "document", "one"); }),
             Contains("cannot write"));
}

}  // namespace
}  // namespace promptdistill::test
