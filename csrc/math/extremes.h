// The greater and the lesser of two numbers where a NaN must not be lost.
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

}  // namespace fastcount
