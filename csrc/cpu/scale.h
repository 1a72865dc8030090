// A saved derivative times the incoming gradient.
#pragma once

#include <cstdint>

namespace fastcount::cpu {

// out[i] = slopes[i] * (scale * grads[i]); grads may be null: all 1.
template <typename T>
void scale(const T* slopes, const T* grads, T scale, std::int64_t count, T* out);

}  // namespace fastcount::cpu
