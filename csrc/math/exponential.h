// exp(x) for x <= 0 without branches or calls, so that a compiler turns a loop of it into vectors.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "math/host_device.h"

namespace fastcount {

// exp(x) for x <= 0, within 2 units in the last place; 0 below -708 (no denormals).
FASTCOUNT_HD double exp_nonpositive(double x) {
#if defined(__CUDA_ARCH__)
  return x < -708.0 ? 0.0 : ::exp(x);
#else
  // exp(x) = 2^n exp(r) with |r| <= ln(2) / 2. Adding 1.5 * 2^52 leaves n in the low bits.
  const double shifter = 6755399441055744.0;
  const double bounded = x < -708.0 ? -708.0 : x;
  const double shifted = bounded * 1.4426950408889634074 + shifter;
  const double n = shifted - shifter;
  const double r = (bounded - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
  // Taylor to r^13 (the next term is below 5e-18), in pairs: short chains of dependent steps.
  const double r2 = r * r;
  const double r4 = r2 * r2;
  const double low = (1.0 + r) + r2 * (0.5 + r * (1.0 / 6.0));
  const double middle = (1.0 / 24.0 + r * (1.0 / 120.0)) + r2 * (1.0 / 720.0 + r * (1.0 / 5040.0));
  const double high = (1.0 / 40320.0 + r * (1.0 / 362880.0)) +
                      r2 * (1.0 / 3628800.0 + r * (1.0 / 39916800.0)) +
                      r4 * (1.0 / 479001600.0 + r * (1.0 / 6227020800.0));
  const double p = low + r4 * (middle + r4 * high);
  std::uint64_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 1023) << 52;
  double scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return x < -708.0 ? 0.0 : p * scale;
#endif
}

// exp(x) for x <= 0, within 2 units in the last place; 0 below -87 (on a GPU a denormal or 0).
FASTCOUNT_HD float exp_nonpositive(float x) {
#if defined(__CUDA_ARCH__)
  return ::expf(x);
#else
  // The same, n left in the low bits by adding 1.5 * 2^23.
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

}  // namespace fastcount
