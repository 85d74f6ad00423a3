#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// The LibTorch model, its checkpoints and its profiles in one include.

#include "promptdistill/model/causal_lm.hpp"
#include "promptdistill/model/checkpoint.hpp"
#include "promptdistill/model/generate.hpp"
#include "promptdistill/model/plan.hpp"
#include "promptdistill/model/profile.hpp"
#include "promptdistill/model/sampler.hpp"
#include "promptdistill/promptdistill.hpp"
