// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// TokenFrame: packing, padding and back, and positions that stay true through every selection.

#include "tests/core/test_support.hpp"

namespace promptdistill::test {
namespace {

at::Tensor iota(const Ids& lengths) {  // [S, 2], every number distinct
  std::int64_t tokens = 0;
  for (const std::int64_t length : lengths) tokens += length;
  return at::arange(2 * tokens, at::kFloat).view({tokens, 2});
}

TEST_CASE("fresh prompts stand at 0, 1, 2 ... or at their first positions", "[core]") {
  const TokenFrame frame = TokenFrame::from_prompt(iota({3, 1, 2}), {3, 1, 2});
  CHECK(to_ids(frame.positions()) == Ids{0, 1, 2, 0, 0, 1});
  CHECK(frame.offsets() == Ids{0, 3, 4, 6});
  CHECK(frame.lengths() == Ids{3, 1, 2});
  CHECK(frame.batch() == 3);
  CHECK(frame.tokens() == 6);
  CHECK(frame.length(2) == 2);
  CHECK(to_ids(TokenFrame::from_prompt(iota({2, 2}), {2, 2}, {7, 0}).positions()) ==
        Ids{7, 8, 0, 1});
  // Where only positions are tracked there are no hidden states.
  const TokenFrame bare = TokenFrame::from_prompt(at::Tensor(), {4});
  CHECK(to_ids(bare.keep(Retention::of_row(longs({1, 3}), 4)).positions()) == Ids{1, 3});
}

TEST_CASE("a row is a view of its own slice", "[core]") {
  const Ids lengths{2, 3, 1};
  const TokenFrame frame = TokenFrame::from_prompt(iota(lengths), lengths);
  CHECK(at::equal(frame.row(frame.hidden(), 1), frame.hidden().slice(0, 2, 5)));
  CHECK(frame.row(frame.hidden(), 1).const_data_ptr() == frame.hidden()[2].const_data_ptr());
  CHECK(to_ids(frame.row(frame.positions(), 2)) == Ids{0});
}

TEST_CASE("the last token of every row", "[core]") {
  Random random(21);
  for (int i = 0; i < 100; ++i) {
    const Ids lengths = random.lengths(random.between(1, 5), 12);
    const TokenFrame frame = TokenFrame::from_prompt(iota(lengths), lengths);
    const at::Tensor last = frame.last_token();
    REQUIRE(last.sizes() == at::IntArrayRef{frame.batch(), 2});
    for (std::int64_t b = 0; b < frame.batch(); ++b)
      CHECK(at::equal(last[b], frame.row(frame.hidden(), b)[-1]));
  }
}

TEST_CASE("a frame kept twice is the frame kept by the composed retention", "[core]") {
  Random random(22);
  for (int i = 0; i < 200; ++i) {
    const Ids lengths = random.lengths(random.between(1, 5), 30);
    Ids firsts;
    for (std::size_t b = 0; b < lengths.size(); ++b) firsts.push_back(random.between(0, 9));
    const TokenFrame frame = TokenFrame::from_prompt(iota(lengths), lengths, firsts);
    const Retention first = random.retention(lengths);
    const Retention second = random.retention(kept_lengths(first));
    const TokenFrame twice = frame.keep(first).keep(second);
    const TokenFrame once = frame.keep(first.compose(second));
    CHECK(at::equal(twice.hidden(), once.hidden()));
    CHECK(at::equal(twice.positions(), once.positions()));
    CHECK(twice.offsets() == once.offsets());
    for (std::int64_t b = 0; b < frame.batch(); ++b) {
      // A position names the token it always named, and hidden states go with it.
      const Ids positions = to_ids(once.row(once.positions(), b));
      for (std::size_t k = 0; k < positions.size(); ++k)
        CHECK(at::equal(
            once.row(once.hidden(), b)[static_cast<std::int64_t>(k)],
            frame.row(frame.hidden(), b)[positions[k] - firsts[static_cast<std::size_t>(b)]]));
    }
    CHECK(at::equal(once.last_token(), frame.last_token()));
  }
}

TEST_CASE("padding on either side or in between is dropped", "[core]") {
  Random random(23);
  for (const std::string kind : {"left", "right", "scattered"}) {
    for (int i = 0; i < 60; ++i) {
      const std::int64_t batch = random.between(1, 4), tokens = random.between(1, 12);
      at::Tensor mask = at::zeros({batch, tokens}, at::kBool);
      Ids lengths;
      for (std::int64_t b = 0; b < batch; ++b) {
        const std::int64_t length = random.between(1, tokens);
        lengths.push_back(length);
        if (kind == "left") mask[b].narrow(0, tokens - length, length).fill_(true);
        if (kind == "right") mask[b].narrow(0, 0, length).fill_(true);
        if (kind == "scattered") mask[b].index_fill_(0, longs(random.subset(tokens, length)), true);
      }
      const at::Tensor hidden = random.normal({3, tokens, batch}).transpose(0, 2);  // strided
      const TokenFrame frame = TokenFrame::from_padded(hidden, mask);
      REQUIRE(frame.lengths() == lengths);
      const at::Tensor padded = frame.to_padded();
      REQUIRE(padded.size(1) == *std::max_element(lengths.begin(), lengths.end()));
      for (std::int64_t b = 0; b < batch; ++b) {
        const std::int64_t length = lengths[static_cast<std::size_t>(b)];
        const at::Tensor own = hidden[b].index_select(0, mask[b].nonzero().squeeze(1));
        CHECK(at::equal(frame.row(frame.hidden(), b), own));
        CHECK(at::equal(frame.row(frame.positions(), b), at::arange(length, at::kLong)));
        CHECK(at::equal(padded[b].narrow(0, 0, length), own));
        CHECK(padded[b].slice(0, length).eq(0).all().item<bool>());
      }
    }
  }
}

TEST_CASE("unpadded hidden states come back as they were, batch 1 as a view", "[core]") {
  Random random(24);
  const at::Tensor one = random.normal({1, 5, 3}), three = random.normal({3, 5, 2});
  const TokenFrame frame = TokenFrame::from_padded(one);
  CHECK(frame.hidden().const_data_ptr() == one.const_data_ptr());
  CHECK(frame.to_padded().const_data_ptr() == one.const_data_ptr());
  CHECK(at::equal(TokenFrame::from_padded(three).to_padded(), three));
  CHECK(TokenFrame::from_padded(three).lengths() == Ids{5, 5, 5});
  const at::Tensor half = three.to(at::kHalf);
  CHECK(at::equal(TokenFrame::from_padded(half).to_padded(), half));
}

TEST_CASE("other hidden states, the same tokens", "[core]") {
  const TokenFrame frame = TokenFrame::from_prompt(iota({3}), {3}, {4});
  const TokenFrame wider = frame.with_hidden(at::ones({3, 8}));
  CHECK(wider.hidden().size(1) == 8);
  CHECK(to_ids(wider.positions()) == Ids{4, 5, 6});
  check_value_error([&] { frame.with_hidden(at::ones({2, 8})); }, {"[S, E] with S = 3"});
}

TEST_CASE("a frame refuses what does not fit", "[core]") {
  const at::Tensor hidden = iota({3});
  const auto prompt = [&](const Ids& lengths, const Ids& firsts = {}) {
    return [=] { TokenFrame::from_prompt(hidden, lengths, firsts); };
  };
  check_value_error(prompt({}), {"at least one prompt, got none"});
  check_value_error(prompt({3, 0}), {"at least one token, row 1 has 0"});
  check_value_error(prompt({-1, 4}), {"row 0 has -1"});
  check_value_error(prompt({2}), {"[S, E] with S = 2 live tokens"});
  check_value_error(prompt({3}, {0, 0}), {"one first position per row, got 2 for 1 rows"});
  check_value_error(prompt({3}, {-2}), {"must not be negative, got -2 in row 0"});
  check_value_error([] { TokenFrame::from_prompt(at::zeros({3}), {3}); }, {"[S, E]"});

  const at::Tensor positions = at::arange(3, at::kLong);
  const std::string words = "positions must be a one-dimensional int64 tensor";
  check_value_error([&] { TokenFrame(hidden, at::Tensor(), {0, 3}); }, {words});
  check_value_error([&] { TokenFrame(hidden, positions.to(at::kInt), {0, 3}); }, {words});
  check_value_error([&] { TokenFrame(hidden, positions.view({1, 3}), {0, 3}); }, {words});
  check_value_error([&] { TokenFrame(hidden, positions, {0}); }, {"offsets must run from 0"});
  check_value_error([&] { TokenFrame(hidden, positions, {0, 2}); }, {"to the 3 live tokens"});
  check_value_error([&] { TokenFrame(hidden, positions, {1, 3}); }, {"offsets must run from 0"});
  check_value_error([&] { TokenFrame(hidden, positions, {0, 3, 3}); }, {"row 1 has 0"});
  check_value_error([&] { TokenFrame(hidden, positions, {0, 5, 3}); }, {"row 1 has -2"});

  const TokenFrame frame = TokenFrame::from_prompt(hidden, {3});
  check_value_error([&] { frame.keep(Retention::of_row(longs({0}), 4)); },
                    {"this frame's rows of 3 tokens, got one from 4"});
  check_value_error(
      [&] {
        frame.keep(Retention(longs({0, 0}), {0, 1, 2}, {1, 2}));
      },
      {"this frame's rows"});
}

TEST_CASE("padded input is refused where a shape, a mask or a row is wrong", "[core]") {
  const at::Tensor hidden = at::zeros({2, 3, 4});
  const at::Tensor mask = at::ones({2, 3}, at::kBool);
  check_value_error([&] { TokenFrame::from_padded(hidden[0]); }, {"must be [B, T, E]"});
  check_value_error([&] { TokenFrame::from_padded(at::Tensor()); }, {"must be [B, T, E]"});
  const std::string words = "a mask must be bool [B, T] = [2, 3]";
  check_value_error([&] { TokenFrame::from_padded(hidden, mask.to(at::kLong)); }, {words});
  check_value_error([&] { TokenFrame::from_padded(hidden, mask.slice(1, 1)); }, {words, "[2, 2]"});
  check_value_error([&] { TokenFrame::from_padded(hidden, mask.unsqueeze(1)); }, {words});
  at::Tensor empty_row = mask.clone();
  empty_row[1].fill_(false);
  check_value_error([&] { TokenFrame::from_padded(hidden, empty_row); },
                    {"at least one token, row 1 has 0"});
  for (const bool masked : {false, true}) {
    const auto padded = [&](std::int64_t batch, std::int64_t tokens) {
      return TokenFrame::from_padded(at::zeros({batch, tokens, 4}),
                                     masked ? at::zeros({batch, tokens}, at::kBool) : at::Tensor());
    };
    check_value_error([&] { padded(1, 0); }, {"at least one token, row 0 has 0"});
    check_value_error([&] { padded(0, 3); }, {"at least one prompt"});
  }
}

}  // namespace
}  // namespace promptdistill::test
