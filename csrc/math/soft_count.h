// A differentiable count of the peaks of a heat map: its softened values and what they pass back.
//
// For a pixel of value p in a window whose greatest value is m: s = p exp(-beta (m - p)), which is
// p at a peak and soon 0 below one; d = sigmoid(steepness (s - threshold)) is nearly 1 at a peak.
#pragma once

#include "math/host_device.h"
#include "math/sigmoid.h"

namespace fastcount {

template <typename T>
struct SoftCountRule {
  T beta;
  T steepness;
  T threshold;
};

template <typename T>
FASTCOUNT_HD T soft_decay(T p, T m, T beta) {
  return exp_of_rounded(-beta * (m - p));
}

template <typename T>
FASTCOUNT_HD T soft_peak(T p, T m, T beta) {
  return p * soft_decay(p, m, beta);
}

template <typename T>
FASTCOUNT_HD T soft_detection(T s, const SoftCountRule<T>& rule) {
  const T x = rule.steepness * (s - rule.threshold);
  return sigmoid_from(x, exp_of_rounded(less_absolute(x))).p;
}

// Derivative of soft_detection by s.
template <typename T>
FASTCOUNT_HD T soft_detection_slope(T s, const SoftCountRule<T>& rule) {
  const T e = exp_of_rounded(less_absolute(rule.steepness * (s - rule.threshold)));
  const T larger = quotient(T(1), T(1) + e);
  return rule.steepness * (e * larger * larger);
}

// soft_peak and its derivatives by p and by m. Where they are equal |m - p| has none; like
// PyTorch's abs, it counts as 0.
template <typename T>
struct SoftPeakSlopes {
  T value;
  T by_value;
  T by_greatest;
};

template <typename T>
FASTCOUNT_HD SoftPeakSlopes<T> soft_peak_slopes(T p, T m, T beta) {
  const T e = soft_decay(p, m, beta);
  const T value = p * e;
  const T pull = m > p ? beta * value : T(0);
  return {value, e + pull, -pull};
}

}  // namespace fastcount
