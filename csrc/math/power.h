// x^y for x in [0, 1] and a fixed y >= 0; whole and half exponents by multiplication and roots.
#pragma once

#include <cmath>
#include <cstdint>

#include "math/exponential.h"
#include "math/host_device.h"
#include "math/logarithm.h"

namespace fastcount {

// The largest exponent that is worth multiplying out.
constexpr int kMostFactors = 16;

struct Exponent {
  double value;
  int factors;  // value = factors, or factors + 1/2 with `root`; -1: neither
  bool root;
};

// For the host: `value` >= 0.
inline Exponent make_exponent(double value) {
  const double twice = 2.0 * value;
  if (twice != std::floor(twice) || value > kMostFactors) return {value, -1, false};
  const auto halves = static_cast<int>(twice);
  return {value, halves / 2, halves % 2 == 1};
}

// The square root of a number that is not negative, on a GPU within 2 units in the last place and 0
// below 2^-126.
template <typename T>
FASTCOUNT_HD T root_of(T x) {
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(T) == 4) {
    float root;
    asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(root) : "f"(x));
    return root;
  }
#endif
  return std::sqrt(x);
}

// x^y by way of logarithms; 0 for x = 0 (y > 0), NaN for NaN.
template <typename T>
FASTCOUNT_HD T power_by_logarithm(T x, T y) {
  const T raised = exp_nonpositive(y * log_positive(x));
  return x > T(0) ? raised : x;
}

template <typename T>
FASTCOUNT_HD T power(T x, const Exponent& y) {
  if (y.factors < 0) return power_by_logarithm(x, static_cast<T>(y.value));
  T raised = y.root ? root_of(x) : T(1);
  for (int i = 0; i < y.factors; ++i) raised *= x;
  return raised;
}

}  // namespace fastcount
