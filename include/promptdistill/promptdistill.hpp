#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Core, policies and distiller in one include. Dimensions, here and everywhere:
//   B batch, N prompt tokens, T tokens alive in a row, S tokens alive in all rows, K kept, W
//   scoring queries, L layers, H query heads, G key-value heads, D head size, E hidden size, V
//   vocabulary.

#include "promptdistill/any_cache_policy.hpp"
#include "promptdistill/any_distiller.hpp"
#include "promptdistill/core/concepts.hpp"
#include "promptdistill/core/distill.hpp"
#include "promptdistill/core/kv_cache.hpp"
#include "promptdistill/core/layer_probe.hpp"
#include "promptdistill/core/retention.hpp"
#include "promptdistill/core/schedule.hpp"
#include "promptdistill/core/token_frame.hpp"
#include "promptdistill/distiller.hpp"
#include "promptdistill/options.hpp"
#include "promptdistill/policy/head_weighted.hpp"
#include "promptdistill/policy/last_query_scorer.hpp"
#include "promptdistill/policy/observation_window_scorer.hpp"
#include "promptdistill/policy/pooled.hpp"
#include "promptdistill/policy/raw_window_scorer.hpp"
#include "promptdistill/policy/skip_last.hpp"
#include "promptdistill/policy/top_k.hpp"
#include "promptdistill/version.hpp"
