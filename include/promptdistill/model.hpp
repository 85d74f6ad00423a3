#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The LibTorch model, its checkpoints and profiles, and the method's rivals in one include.

#include "promptdistill/baseline/fast_kv.hpp"
#include "promptdistill/baseline/gem_filter.hpp"
#include "promptdistill/baseline/h2o.hpp"
#include "promptdistill/baseline/method.hpp"
#include "promptdistill/baseline/method_text.hpp"
#include "promptdistill/baseline/snap_kv.hpp"
#include "promptdistill/baseline/streaming_llm.hpp"
#include "promptdistill/model/causal_lm.hpp"
#include "promptdistill/model/checkpoint.hpp"
#include "promptdistill/model/document.hpp"
#include "promptdistill/model/generate.hpp"
#include "promptdistill/model/plan.hpp"
#include "promptdistill/model/profile.hpp"
#include "promptdistill/model/sampler.hpp"
#include "promptdistill/promptdistill.hpp"
