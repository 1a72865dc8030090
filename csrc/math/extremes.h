// Greatest and least where a NaN must not be lost.
#pragma once

#include "math/host_device.h"

namespace fastcount {

// NaN where either is. On a GPU one instruction for float; a comparison and a choice are two, and
// lose the NaN of one side.
template <typename T>
FASTCOUNT_HD T greater_or_nan(T a, T b) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  if constexpr (sizeof(T) == 4) {
    float greater;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(greater) : "f"(a), "f"(b));
    return greater;
  }
#endif
  return static_cast<bool>((b > a) | (b != b)) ? b : a;
}

// `value`, not below `low` nor above `high`, which are numbers; NaN stays.
template <typename T>
FASTCOUNT_HD T bounded(T value, T low, T high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  if constexpr (sizeof(T) == 4) {
    float held;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(held) : "f"(value), "f"(low));
    asm("min.NaN.f32 %0, %1, %2;" : "=f"(held) : "f"(held), "f"(high));
    return held;
  }
#endif
  const T raised = value < low ? low : value;
  return raised > high ? high : raised;
}

}  // namespace fastcount
