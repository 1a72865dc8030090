// The focal losses on a CPU: the loss and its slope from one reading of prediction and target.
//
// Floor: forward 8 bytes a pixel read and, where a gradient will be wanted, 4 written; backward 4
// read and 4 written. Recomputing in the backward pass would move the same 20 bytes with half the
// memory, but evaluate the logarithm, the powers and the sigmoid twice, and on a CPU those are the
// time: the slope is kept.
//
// Reached, float32, one thread of a Xeon at 2.5 GHz (AVX-512, shared with other work, least of many
// runs), 393,216 pixels, gamma 4, beta 1/2: 0.86 ms forward with slope (1.3 from logits), 0.13 ms
// backward. The forward is bound by arithmetic, not memory: of its 87 cycles for 16 pixels the
// divider alone takes 24, a root and a quotient.
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
