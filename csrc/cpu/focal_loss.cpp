#include "cpu/focal_loss.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "cpu/lane_sum.h"
#include "cpu/multiversion.h"

namespace fastcount::cpu {
namespace {

// Pixels a block: its buffers stay in the first-level cache. Each step below is one loop over a
// block, which the compiler turns into vectors; what a step decides once (form, poly, exponent) is
// decided outside its loop.
constexpr int kBlock = 512;

template <typename T>
struct Block {
  T goal[kBlock];
  T base[kBlock];  // its beta-th power is
  T weight[kBlock];
  T d[kBlock];
  T c[kBlock];
  T slope[kBlock];    // of d with respect to the prediction
  T lowered[kBlock];  // d^(gamma - 1)
  T value[kBlock];
};

template <FocalForm kForm, typename T>
FASTCOUNT_INLINE void read_targets(const T* __restrict target, const bool* __restrict mask,
                                   int count, T* __restrict goal, T* __restrict base) {
  if (kForm == FocalForm::kMask && mask != nullptr) {
    // As bytes and then numbers of the target's width: a bool would keep the loop from vectors.
    const auto* __restrict bytes = reinterpret_cast<const unsigned char*>(mask);
    for (int i = 0; i < count; ++i) {
      const FocalTarget<T> at = focal_target(kForm, target[i], static_cast<T>(bytes[i]) != T(0));
      goal[i] = at.goal;
      base[i] = at.base;
    }
    return;
  }
  for (int i = 0; i < count; ++i) {
    const FocalTarget<T> at = focal_target(kForm, target[i], target[i] > T(0));
    goal[i] = at.goal;
    base[i] = at.base;
  }
}

template <typename T>
FASTCOUNT_INLINE int count_centers(const T* __restrict target, int count) {
  int centers = 0;
  for (int i = 0; i < count; ++i) centers += target[i] == T(1) ? 1 : 0;
  return centers;
}

template <int kFactors, bool kRoot, typename T>
FASTCOUNT_INLINE void multiply_out(const T* __restrict base, int count, T* __restrict raised) {
  for (int i = 0; i < count; ++i) {
    T product = kRoot ? std::sqrt(base[i]) : T(1);
    for (int k = 0; k < kFactors; ++k) product *= base[i];
    raised[i] = product;
  }
}

// raised = base^y. The two must not overlap.
template <typename T>
FASTCOUNT_INLINE void raise(const T* __restrict base, const Exponent& y, int count,
                            T* __restrict raised) {
  if (y.factors < 0) {
    const T exponent = static_cast<T>(y.value);
    for (int i = 0; i < count; ++i) raised[i] = power_by_logarithm(base[i], exponent);
    return;
  }
  switch (2 * std::min(y.factors, 4) + (y.root ? 1 : 0)) {
    case 0:
      multiply_out<0, false>(base, count, raised);
      break;
    case 1:
      multiply_out<0, true>(base, count, raised);
      break;
    case 2:
      multiply_out<1, false>(base, count, raised);
      break;
    case 3:
      multiply_out<1, true>(base, count, raised);
      break;
    case 4:
      multiply_out<2, false>(base, count, raised);
      break;
    case 5:
      multiply_out<2, true>(base, count, raised);
      break;
    case 6:
      multiply_out<3, false>(base, count, raised);
      break;
    case 7:
      multiply_out<3, true>(base, count, raised);
      break;
    case 8:
      multiply_out<4, false>(base, count, raised);
      break;
    default:
      multiply_out<4, true>(base, count, raised);
      break;
  }
  for (int k = 4; k < y.factors; ++k) {
    for (int i = 0; i < count; ++i) raised[i] *= base[i];
  }
}

template <bool kLogits, typename T>
FASTCOUNT_INLINE void compare(const T* __restrict pred, const T* __restrict goal, int count,
                              const FocalClamp<T>& clamp, T* __restrict d, T* __restrict c,
                              T* __restrict slope) {
  for (int i = 0; i < count; ++i) {
    const FocalError<T> error = focal_error<kLogits>(pred[i], goal[i], clamp);
    d[i] = error.d;
    c[i] = error.c;
    slope[i] = error.slope;
  }
}

// `slopes` may be null.
template <FocalPoly kPoly, typename T>
FASTCOUNT_INLINE void evaluate(const Block<T>& block, int count, T gamma, T* __restrict values,
                               T* __restrict slopes) {
  const T* __restrict d = block.d;
  const T* __restrict c = block.c;
  const T* __restrict weight = block.weight;
  const T* __restrict lowered = block.lowered;
  const T* __restrict outer = block.slope;
  if (slopes == nullptr) {
    for (int i = 0; i < count; ++i) {
      values[i] = focal_pixel(kPoly, d[i], c[i], weight[i], lowered[i], gamma).value;
    }
    return;
  }
  for (int i = 0; i < count; ++i) {
    const FocalLoss<T> loss = focal_pixel(kPoly, d[i], c[i], weight[i], lowered[i], gamma);
    values[i] = loss.value;
    slopes[i] = loss.slope * outer[i];
  }
}

template <typename T>
FASTCOUNT_INLINE FocalSum run(const T* pred, const T* target, const bool* mask, std::int64_t total,
                              const FocalOptions& options, const FocalClamp<T>& clamp,
                              const FocalPower& power, const Exponent& beta, T* slopes, T* values) {
  Block<T> block;
  FocalSum sum{0.0, 0};
  const T gamma = static_cast<T>(options.gamma);
  for (std::int64_t begin = 0; begin < total; begin += kBlock) {
    const int count = static_cast<int>(std::min<std::int64_t>(kBlock, total - begin));
    const T* t = target + begin;
    const bool* m = mask == nullptr ? nullptr : mask + begin;
    switch (options.form) {
      case FocalForm::kBinary:
        read_targets<FocalForm::kBinary>(t, m, count, block.goal, block.base);
        break;
      case FocalForm::kHeatmap:
        read_targets<FocalForm::kHeatmap>(t, m, count, block.goal, block.base);
        break;
      case FocalForm::kMask:
        read_targets<FocalForm::kMask>(t, m, count, block.goal, block.base);
        break;
    }
    raise(block.base, beta, count, block.weight);
    sum.centers += count_centers(t, count);

    if (options.logits) {
      compare<true>(pred + begin, block.goal, count, clamp, block.d, block.c, block.slope);
    } else {
      compare<false>(pred + begin, block.goal, count, clamp, block.d, block.c, block.slope);
    }
    raise(block.d, power.exponent, count, block.lowered);
    if (power.divide) {
      for (int i = 0; i < count; ++i)
        block.lowered[i] = focal_divided(block.lowered[i], block.d[i]);
    }

    T* value = values == nullptr ? block.value : values + begin;
    T* slope = slopes == nullptr ? nullptr : slopes + begin;
    switch (options.poly) {
      case FocalPoly::kNone:
        evaluate<FocalPoly::kNone>(block, count, gamma, value, slope);
        break;
      case FocalPoly::kPrinted:
        evaluate<FocalPoly::kPrinted>(block, count, gamma, value, slope);
        break;
      case FocalPoly::kWeighted:
        evaluate<FocalPoly::kWeighted>(block, count, gamma, value, slope);
        break;
    }
    sum.loss += lane_sum(value, count);
  }
  return sum;
}

FASTCOUNT_MULTIVERSION
FocalSum run_float(const float* pred, const float* target, const bool* mask, std::int64_t total,
                   const FocalOptions& options, const FocalClamp<float>& clamp,
                   const FocalPower& power, const Exponent& beta, float* slopes, float* values) {
  return run(pred, target, mask, total, options, clamp, power, beta, slopes, values);
}

FASTCOUNT_MULTIVERSION
FocalSum run_double(const double* pred, const double* target, const bool* mask, std::int64_t total,
                    const FocalOptions& options, const FocalClamp<double>& clamp,
                    const FocalPower& power, const Exponent& beta, double* slopes, double* values) {
  return run(pred, target, mask, total, options, clamp, power, beta, slopes, values);
}

}  // namespace

template <typename T>
FocalSum focal_loss(const T* pred, const T* target, const bool* mask, std::int64_t count,
                    const FocalOptions& options, T* slopes, T* values) {
  const FocalClamp<T> clamp = make_focal_clamp<T>(options);
  const FocalPower power = make_focal_power(options.gamma);
  const Exponent beta = make_exponent(options.beta);
  if constexpr (std::is_same_v<T, float>) {
    return run_float(pred, target, mask, count, options, clamp, power, beta, slopes, values);
  } else {
    return run_double(pred, target, mask, count, options, clamp, power, beta, slopes, values);
  }
}

template FocalSum focal_loss<float>(const float*, const float*, const bool*, std::int64_t,
                                    const FocalOptions&, float*, float*);
template FocalSum focal_loss<double>(const double*, const double*, const bool*, std::int64_t,
                                     const FocalOptions&, double*, double*);

}  // namespace fastcount::cpu
