// A saved derivative times the incoming gradient.
//
// Floor: 8 bytes a pixel, read and written (12 with a gradient for each), and one multiplication.
// benchmarks/bench_focal_loss.py prints which share of copying that reaches; no measurement on a
// quiet machine yet.
#pragma once

#include <cstdint>

namespace fastcount::cpu {

// out[i] = slopes[i] * (scale * grads[i]); grads may be null: all 1.
template <typename T>
void scale(const T* slopes, const T* grads, T scale, std::int64_t count, T* out);

}  // namespace fastcount::cpu
