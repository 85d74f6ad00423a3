#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Questions about one document, each by itself or as turns of a conversation.

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "examples/common/chat_frame.hpp"
#include "promptdistill/any_distiller.hpp"
#include "promptdistill/model/document.hpp"
#include "promptdistill/text.hpp"

namespace promptdistill::examples {

using Ids = std::vector<std::int64_t>;

/// What a question knows of those before it.
enum class Turns {
  kFresh,   // nothing: each is asked of the document alone
  kSelect,  // all that was said: it is part of the document, from which tokens are selected anew
  kAppend,  // all that was said, and of the document what the first question kept
};

/// A question that was answered.
struct Answer {
  std::string question, text;
  GenerateResult result;
  std::int64_t question_tokens = 0;  // with all that the format writes around it
  std::size_t own_cache_bytes = 0;   // beyond the document's, room included
};

class Conversation {
 public:
  Conversation(const Tokenizer& tokenizer,
               ChatFrame frame,
               Document document,
               AnyDistiller policy,
               PrefillOptions options,
               Turns turns)
      : tokenizer_(tokenizer),
        frame_(std::move(frame)),
        document_(std::move(document)),
        policy_(std::move(policy)),
        options_(std::move(options)),
        turns_(turns),
        said_(document_.fork()) {}

  const Document& document() const { return document_; }
  /// The ids of what the last question was asked of: with Turns::kSelect all that was said before
  /// it, too.
  const at::Tensor& asked_ids() const { return asked_ids_; }
  Turns turns() const { return turns_; }
  void set_turns(Turns turns) {
    turns_ = turns;
    forget();
  }

  /// Ends the conversation: the next question is a first one.
  void forget() {
    said_ = document_.fork();
    cache_.reset();
    pending_.clear();
    first_ = true;
  }

  /// Answers a question; `stream` is given the text as it comes. An exception leaves the
  /// conversation as it was.
  Answer ask(const std::string& question,
             GenerateOptions options,
             const std::function<void(const std::string&)>& stream) {
    const bool opens = first_ || turns_ == Turns::kFresh;
    options.prefill = options_;
    Answer answer;
    answer.question = question;
    TextStream text(tokenizer_, /*skip_special_tokens=*/true);
    const auto emit = [&](const std::string& piece) {
      answer.text += piece;
      stream(piece);
    };
    const auto go_on = options.on_token;
    options.on_token = [&](std::int64_t token) {
      emit(text.push(token));
      return !go_on || go_on(token);
    };
    Ids ids = tokenizer_.encode((opens ? "\n\n" : frame_.turn) + question + frame_.foot, false);
    answer.question_tokens = std::ssize(ids);
    const CausalLm& lm = document_.model();
    std::optional<KvCache> cache;
    std::optional<Document> extended;
    if (opens || turns_ == Turns::kSelect) {
      if (!opens && turns_ == Turns::kSelect) {
        extended = said_.fork();
        extended->extend(at::tensor(pending_, at::kLong), options_);
      }
      const Document& base = extended ? *extended : document_;
      cache.emplace(lm.make_cache(1, options.max_new_tokens));
      answer.result = base.ask(ids, *cache, policy_, options);
      asked_ids_ = base.ids();
    } else {
      cache.emplace(cache_->fork());
      ids.insert(ids.begin(), pending_.begin(), pending_.end());
      TORCH_CHECK_VALUE(
          cache->next_position(0) + std::ssize(ids) + options.max_new_tokens <=
              document_.max_total_tokens(),
          "promptdistill: the conversation has outgrown the ", document_.max_total_tokens(),
          " tokens that the document was read for; begin a new one, or read it with a larger "
          "--room");
      answer.result = generate_after(
          [&] {
            return PrefillResult{lm.append(at::tensor(ids, at::kLong), {std::ssize(ids)}, *cache),
                                 {}};
          },
          lm, ids, *cache, options);
    }
    emit(text.finish());
    answer.own_cache_bytes = cache->bytes() - cache->frozen_bytes();
    // A day's answers are kept, a vocabulary's numbers for each are not.
    answer.result.prefill_logits = answer.result.last_logits = at::Tensor();
    for (StageRecord& stage : answer.result.stages) stage.scores.clear();
    // What the next turn begins with: all that is not in its cache or document yet. The end of the
    // turn is the frame's to write.
    const bool ended = options.stop_ids.contains(answer.result.tokens.back());
    if (turns_ == Turns::kAppend) {
      pending_.clear();
      if (!ended) pending_.push_back(answer.result.tokens.back());
      cache_ = std::move(cache);
    } else if (turns_ == Turns::kSelect) {
      if (extended) said_ = std::move(*extended);
      pending_ = std::move(ids);
      pending_.insert(pending_.end(), answer.result.tokens.begin(),
                      answer.result.tokens.end() - (ended ? 1 : 0));
    }
    first_ = false;
    return answer;
  }

 private:
  const Tokenizer& tokenizer_;
  ChatFrame frame_;
  Document document_;
  AnyDistiller policy_;
  PrefillOptions options_;
  Turns turns_;
  Document said_;                 // the document and all turns but the last, for kSelect
  std::optional<KvCache> cache_;  // of all turns, for kAppend
  at::Tensor asked_ids_;
  Ids pending_;
  bool first_ = true;
};

}  // namespace promptdistill::examples
