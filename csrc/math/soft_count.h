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
FASTCOUNT_HD T soft_peak(T p, T m, T beta) {
  return p * exp_nonpositive(-beta * (m - p));
}

template <typename T>
FASTCOUNT_HD T soft_detection(T s, const SoftCountRule<T>& rule) {
  return sigmoid(rule.steepness * (s - rule.threshold)).p;
}

// Derivative of soft_detection by s.
template <typename T>
FASTCOUNT_HD T soft_detection_slope(T s, const SoftCountRule<T>& rule) {
  const Probability<T> detection = sigmoid(rule.steepness * (s - rule.threshold));
  return rule.steepness * detection.p * detection.q;
}

// Derivatives of soft_peak by p and by m. Where they are equal |m - p| has none; like PyTorch's
// abs, it counts as 0.
template <typename T>
struct SoftPeakSlopes {
  T by_value;
  T by_greatest;
};

template <typename T>
FASTCOUNT_HD SoftPeakSlopes<T> soft_peak_slopes(T p, T m, T beta) {
  const T e = exp_nonpositive(-beta * (m - p));
  const T pull = m > p ? beta * p * e : T(0);
  return {e + pull, -pull};
}

}  // namespace fastcount
