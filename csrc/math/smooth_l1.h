// The weighted smooth L1 of one pixel (leaf counting by detection and regression, eq. 4):
//
//   loss = w' (|e| - 1/2 where |e| >= 1, else e^2 / 2),   e = pred - target,
//   w' = 1 - w where target > 0, else w
#pragma once

#include "math/host_device.h"

namespace fastcount {

template <typename T>
struct SmoothL1Weights {
  T positive;  // 1 - w
  T other;     // w
};

// For the host. `weight` is w.
template <typename T>
inline SmoothL1Weights<T> make_smooth_l1_weights(double weight) {
  return {static_cast<T>(1.0 - weight), static_cast<T>(weight)};
}

// Its derivative before the weight: e held to [-1, 1]. NaN stays.
template <typename T>
FASTCOUNT_HD T smooth_l1_slope(T error) {
  const T raised = error < T(-1) ? T(-1) : error;
  return raised > T(1) ? T(1) : raised;
}

template <typename T>
FASTCOUNT_HD T smooth_l1_weight(T target, const SmoothL1Weights<T>& weights) {
  return target > T(0) ? weights.positive : weights.other;
}

// With s the slope: s (e - s / 2), which is e^2 / 2 inside and |e| - 1/2 outside.
template <typename T>
FASTCOUNT_HD T smooth_l1(T pred, T target, const SmoothL1Weights<T>& weights) {
  const T error = pred - target;
  const T slope = smooth_l1_slope(error);
  return smooth_l1_weight(target, weights) * (slope * (error - T(0.5) * slope));
}

template <typename T>
FASTCOUNT_HD T smooth_l1_derivative(T pred, T target, const SmoothL1Weights<T>& weights) {
  return smooth_l1_weight(target, weights) * smooth_l1_slope(pred - target);
}

}  // namespace fastcount
