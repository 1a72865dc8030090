// The sigmoid and its complement, each to full relative precision.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "math/exponential.h"
#include "math/host_device.h"
#include "math/quotient.h"

namespace fastcount {

// exp(x) for x <= 0, within 2 units in the last place; 0 below -87 (on a GPU a denormal or 0).
FASTCOUNT_HD float exp_nonpositive(float x) {
#if defined(__CUDA_ARCH__)
  return ::expf(x);
#else
  // As for double: exp(x) = 2^n exp(r), n left in the low bits by adding 1.5 * 2^23.
  const float shifter = 12582912.0f;
  const float bounded = x < -87.0f ? -87.0f : x;
  const float shifted = bounded * 1.44269504f + shifter;
  const float n = shifted - shifter;
  const float r = (bounded - n * 0.693145751953125f) - n * 1.42860677e-6f;
  // Taylor to r^7; the next term is below 6e-9.
  const float r2 = r * r;
  const float r4 = r2 * r2;
  const float low = (1.0f + r) + r2 * (0.5f + r * (1.0f / 6.0f));
  const float high =
      (1.0f / 24.0f + r * (1.0f / 120.0f)) + r2 * (1.0f / 720.0f + r * (1.0f / 5040.0f));
  const float p = low + r4 * high;
  std::uint32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return x < -87.0f ? 0.0f : p * scale;
#endif
}

// exp(x) for x <= 0, where x is itself rounded, so that a relative error of |x| / 2^23 more does no
// harm: on a GPU a multiplication and one instruction.
FASTCOUNT_HD float exp_of_rounded(float x) {
#if defined(__CUDA_ARCH__)
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x * 1.44269504f));
  return power;
#else
  return exp_nonpositive(x);
#endif
}
FASTCOUNT_HD double exp_of_rounded(double x) { return exp_nonpositive(x); }

// -|x|
template <typename T>
FASTCOUNT_HD T less_absolute(T x) {
#if defined(__CUDA_ARCH__)
  return -fabs(x);
#else
  return x > T(0) ? -x : x;
#endif
}

// A probability p and q = 1 - p.
template <typename T>
struct Probability {
  T p;
  T q;
};

// The sigmoid of x from e = exp(-|x|). NaN for NaN.
template <typename T>
FASTCOUNT_HD Probability<T> sigmoid_from(T x, T e) {
  const T larger = quotient(T(1), T(1) + e);
  const T smaller = e * larger;
  return {x > T(0) ? larger : smaller, x > T(0) ? smaller : larger};
}

template <typename T>
FASTCOUNT_HD Probability<T> sigmoid(T x) {
  return sigmoid_from(x, exp_nonpositive(less_absolute(x)));
}

}  // namespace fastcount
