// The sigmoid and its complement, each to full relative precision.
#pragma once

#include <cmath>

#include "math/exponential.h"
#include "math/host_device.h"
#include "math/quotient.h"

namespace fastcount {

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
