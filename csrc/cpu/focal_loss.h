// The focal losses on a CPU: the loss and its slope from one reading of prediction and target.
//
// Floor: forward 8 bytes a pixel read and, where a gradient will be wanted, 4 written; backward 4
// read and 4 written. Recomputing in the backward pass would move the same 20 bytes with half the
// memory, but evaluate the logarithm, the powers and the sigmoid twice, and on a CPU those are the
// time: the slope is kept.
//
// Work, forward: about 65 operations a pixel as math/ writes them (91 from logits), a multiply-add
// counted once, a root and a quotient among them; backward one.
//
// Reached, forward and backward of 393,216 float32 pixels, gamma 4, beta 1/2, on two cores of a 2.4
// GHz AMD EPYC with AVX2 (2026-11-25; in the same run copying 20.1 GB/s, a float32 matrix product
// 137 GFLOP/s), autograd included: 1.15 ms, 34 % of copying and 33 % of the product's operations;
// from logits 1.24 ms, 32 % and 43 %. The forward pass is bound by arithmetic: on a Xeon with
// AVX-512 the divider alone took 24 of its 87 cycles for 16 pixels.
#pragma once

#include <cstdint>

#include "math/focal_loss.h"

namespace fastcount::cpu {

struct FocalSum {
  double loss;           // before alpha / N
  std::int64_t centers;  // entries with target == 1
};

// Loss of `count` pixels, added up in a fixed order. mask may be null: target > 0. Where they are
// not null, slopes receives the derivative with respect to each prediction and values each pixel's
// loss, both before alpha / N.
template <typename T>
FocalSum focal_loss(const T* pred, const T* target, const bool* mask, std::int64_t count,
                    const FocalOptions& options, T* slopes, T* values);

}  // namespace fastcount::cpu
