// A division for numbers that are known to be neither very large nor very small.
#pragma once

#include <cmath>

#include "math/host_device.h"

namespace fastcount {

// a / c for |a| <= 2 and c in [2^-100, 2], on a GPU within 2 units in the last place: the
// division's own code there also looks after numbers of all sizes, and takes thrice as long. NaN
// for NaN.
template <typename T>
FASTCOUNT_HD T quotient(T a, T c) {
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(T) == 4) {
    float reciprocal;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(reciprocal) : "f"(c));
    const float near = a * reciprocal;
    return fmaf(fmaf(-c, near, a), reciprocal, near);
  }
#endif
  return a / c;
}

}  // namespace fastcount
