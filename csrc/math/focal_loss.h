// The focal losses of one pixel, as one formula:
//
//   loss = d^gamma (a L + b d),   d = |goal - p|,   L = -log(1 - d)
//
// where goal is what the prediction p should reach, p is clamped to [eps, 1 - eps], and a, b
// are weights:
//
//   binary (eq. 2)    goal = [t = 1]                   a = 1                            b = 0
//   heat map (eq. 3)  goal = [t = 1]                   a = 1 or (1 - t)^beta off peaks  b = 0
//   mask (eq. 6)      goal = t in the mask, 0 outside  a = t^beta, or 1 outside         b = 0
//   mask poly (eq. 7) as eq. 6                         a = 1                            b = eq. 6's
//   a the same, weighted                                 a, b = eq. 6's a
//
// Equations of "Mask Focal Loss" (crowd counting). d and c = 1 - d come from p, 1 - p, t and 1 - t
// without cancellation, so that float32 keeps its precision at both ends of [0, 1].
#pragma once

#include <cmath>
#include <limits>

#include "math/extremes.h"
#include "math/host_device.h"
#include "math/logarithm.h"
#include "math/power.h"
#include "math/quotient.h"
#include "math/sigmoid.h"

namespace fastcount {

enum class FocalForm { kBinary = 0, kHeatmap = 1, kMask = 2 };
enum class FocalPoly { kNone = 0, kPrinted = 1, kWeighted = 2 };

// What does not change from pixel to pixel.
struct FocalOptions {
  FocalForm form;
  FocalPoly poly;
  bool logits;  // predictions are logits
  double beta;
  double gamma;
  double eps;
};

// The clamp of p. `low` and `high` bound what p (or the logit) itself may be for its gradient to
// pass: the least and greatest T not below eps and not above 1 - eps.
template <typename T>
struct FocalClamp {
  T eps;
  T one_less;  // 1 - eps
  T low;
  T high;
};

// For the host.
template <typename T>
inline FocalClamp<T> make_focal_clamp(const FocalOptions& options) {
  const double eps = options.eps;
  const double low = options.logits ? std::log(eps) - std::log1p(-eps) : eps;
  const double high = options.logits ? -low : 1.0 - eps;
  FocalClamp<T> clamp{static_cast<T>(eps), static_cast<T>(1.0 - eps), static_cast<T>(low),
                      static_cast<T>(high)};
  const T infinity = std::numeric_limits<T>::infinity();
  if (static_cast<double>(clamp.low) < low) clamp.low = std::nextafter(clamp.low, infinity);
  if (static_cast<double>(clamp.high) > high) clamp.high = std::nextafter(clamp.high, -infinity);
  return clamp;
}

template <typename T>
struct FocalTarget {
  T goal;
  T base;  // its beta-th power is the pixel's weight
};

// NaN for a target that is NaN or outside [0, 1]: no equation is meant for it.
template <typename T>
FASTCOUNT_HD FocalTarget<T> focal_target(FocalForm form, T t, bool in_mask) {
  const bool valid = (t >= T(0)) & (t <= T(1));
  const T wrong = std::numeric_limits<T>::quiet_NaN();
  if (form == FocalForm::kMask) {
    const T goal = in_mask ? t : T(0);
    return {valid ? goal : wrong, in_mask ? t : T(1)};
  }
  const T goal = t == T(1) ? T(1) : T(0);
  const T base = form == FocalForm::kBinary || t == T(1) ? T(1) : T(1) - t;
  return {valid ? goal : wrong, base};
}

template <typename T>
struct FocalError {
  T d;      // |goal - p|
  T c;      // 1 - d
  T slope;  // the derivative of d with respect to the prediction; 0 where p is clamped
};

// `pred` is a probability, or a logit.
template <bool kLogits, typename T>
FASTCOUNT_HD FocalError<T> focal_error(T pred, T goal, const FocalClamp<T>& clamp) {
  T p = pred;
  T q = T(1) - pred;
  T rate = T(1);
  if constexpr (kLogits) {
    const Probability<T> both = sigmoid(pred);
    p = both.p;
    q = both.q;
    rate = p * q;
  }
  const T above_low = pred >= clamp.low ? rate : T(0);
  const T passes = pred <= clamp.high ? above_low : T(0);
  p = bounded(p, clamp.eps, clamp.one_less);
  q = bounded(q, clamp.eps, clamp.one_less);
  const T left = T(1) - goal;
  const bool below = p < goal;
  // Of two equal differences the one whose terms are exact, or small.
  const T under = p > T(0.5) ? q - left : goal - p;
  const T d = below ? under : p - goal;
  const T c = below ? left + p : goal + q;
  const T rising = p > goal ? passes : T(0);
  return {d, c, below ? -passes : rising};
}

// -log(1 - d) from d and its rounded complement c: where c is near 1 its rounding error, which
// (c - 1) + d is exactly, is put back. NaN for NaN.
template <typename T>
FASTCOUNT_HD T focal_entropy(T d, T c) {
  const T lost = c < T(0.5) ? T(0) : (c - T(1)) + d;
  return lost - log_positive(c);
}

// How d^(gamma - 1) is made: the exponent, and whether d^gamma is divided by d afterwards.
struct FocalPower {
  double gamma;
  Exponent exponent;
  bool divide;
};

// For the host.
inline FocalPower make_focal_power(double gamma) {
  const bool divide = gamma < 1.0;
  return {gamma, make_exponent(divide ? gamma : gamma - 1.0), divide};
}

// 0 for d = 0 where gamma < 1: the loss and its slope vanish there, d^(gamma - 1) does not.
template <typename T>
FASTCOUNT_HD T focal_divided(T raised, T d) {
  return d > T(0) ? raised / d : d;
}

template <typename T>
struct FocalLoss {
  T value;
  T slope;  // with respect to d
};

// `lowered` is d^(gamma - 1).
template <typename T>
FASTCOUNT_HD FocalLoss<T> focal_pixel(FocalPoly poly, T d, T c, T weight, T lowered, T gamma) {
  const T a = poly == FocalPoly::kPrinted ? T(1) : weight;
  const T entropy = focal_entropy(d, c);
  T inner = a * entropy;
  T slope = quotient(a, c);
  if (poly != FocalPoly::kNone) {
    inner += weight * d;
    slope += weight;
  }
  return {lowered * d * inner, lowered * (gamma * inner + d * slope)};
}

}  // namespace fastcount
