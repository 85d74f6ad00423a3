#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The text part: tokenizer, streamed text, stop strings, chat format.

#include "promptdistill/text/chat_format.hpp"
#include "promptdistill/text/stop_strings.hpp"
#include "promptdistill/text/text_stream.hpp"
#include "promptdistill/text/tokenizer.hpp"
