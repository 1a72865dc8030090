// The weighted smooth L1 on a CPU.
//
// Floor: forward 8 bytes a pixel read; backward 8 read and 4 written. The formula is a handful of
// operations (9 forward, 7 backward), so the backward pass computes it again instead of reading a
// saved slope. Reached by benchmarks/bench_weighted_smooth_l1.py, forward and backward, on two
// cores of an AMD EPYC with AVX2 (2026-11-25; in the same run copying 19.4 GB/s): 0.64 ms, 85 % of
// copying.
#pragma once

#include <cstdint>

#include "math/smooth_l1.h"

namespace fastcount::cpu {

// The sum over `count` pixels, in a fixed order. Where it is not null, values receives each
// pixel's loss.
template <typename T>
double smooth_l1(const T* pred, const T* target, const SmoothL1Weights<T>& weights,
                 std::int64_t count, T* values);

// out[i] = derivative[i] * grads[i]; with `single` every grads[i] is grads[0].
template <typename T>
void smooth_l1_backward(const T* grads, bool single, const T* pred, const T* target,
                        const SmoothL1Weights<T>& weights, std::int64_t count, T* out);

}  // namespace fastcount::cpu
