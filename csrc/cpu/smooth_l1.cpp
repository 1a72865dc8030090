#include "cpu/smooth_l1.h"

#include <algorithm>
#include <type_traits>

#include "cpu/lane_sum.h"
#include "cpu/multiversion.h"

namespace fastcount::cpu {
namespace {

constexpr int kBlock = 1024;  // pixels a block, whose losses stay in the first-level cache

template <typename T>
FASTCOUNT_INLINE double forward(const T* __restrict pred, const T* __restrict target,
                                const SmoothL1Weights<T> weights, std::int64_t total,
                                T* __restrict values) {
  T buffer[kBlock];
  double sum = 0.0;
  for (std::int64_t begin = 0; begin < total; begin += kBlock) {
    const int count = static_cast<int>(std::min<std::int64_t>(kBlock, total - begin));
    const T* __restrict p = pred + begin;
    const T* __restrict t = target + begin;
    for (int i = 0; i < count; ++i) buffer[i] = fastcount::smooth_l1(p[i], t[i], weights);
    sum += lane_sum(buffer, count);
    if (values != nullptr) std::copy(buffer, buffer + count, values + begin);
  }
  return sum;
}

template <typename T>
FASTCOUNT_INLINE void backward(const T* __restrict grads, bool single, const T* __restrict pred,
                               const T* __restrict target, const SmoothL1Weights<T> weights,
                               std::int64_t count, T* __restrict out) {
  if (single) {
    const T grad = count > 0 ? grads[0] : T(0);
    for (std::int64_t i = 0; i < count; ++i) {
      out[i] = grad * smooth_l1_derivative(pred[i], target[i], weights);
    }
  } else {
    for (std::int64_t i = 0; i < count; ++i) {
      out[i] = grads[i] * smooth_l1_derivative(pred[i], target[i], weights);
    }
  }
}

FASTCOUNT_MULTIVERSION
double forward_float(const float* pred, const float* target, const SmoothL1Weights<float>& weights,
                     std::int64_t count, float* values) {
  return forward(pred, target, weights, count, values);
}

FASTCOUNT_MULTIVERSION
double forward_double(const double* pred, const double* target,
                      const SmoothL1Weights<double>& weights, std::int64_t count, double* values) {
  return forward(pred, target, weights, count, values);
}

FASTCOUNT_MULTIVERSION
void backward_float(const float* grads, bool single, const float* pred, const float* target,
                    const SmoothL1Weights<float>& weights, std::int64_t count, float* out) {
  backward(grads, single, pred, target, weights, count, out);
}

FASTCOUNT_MULTIVERSION
void backward_double(const double* grads, bool single, const double* pred, const double* target,
                     const SmoothL1Weights<double>& weights, std::int64_t count, double* out) {
  backward(grads, single, pred, target, weights, count, out);
}

}  // namespace

template <typename T>
double smooth_l1(const T* pred, const T* target, const SmoothL1Weights<T>& weights,
                 std::int64_t count, T* values) {
  if constexpr (std::is_same_v<T, float>) {
    return forward_float(pred, target, weights, count, values);
  } else {
    return forward_double(pred, target, weights, count, values);
  }
}

template <typename T>
void smooth_l1_backward(const T* grads, bool single, const T* pred, const T* target,
                        const SmoothL1Weights<T>& weights, std::int64_t count, T* out) {
  if constexpr (std::is_same_v<T, float>) {
    backward_float(grads, single, pred, target, weights, count, out);
  } else {
    backward_double(grads, single, pred, target, weights, count, out);
  }
}

#define FASTCOUNT_INSTANTIATE(T)                                                                 \
  template double smooth_l1<T>(const T*, const T*, const SmoothL1Weights<T>&, std::int64_t, T*); \
  template void smooth_l1_backward<T>(const T*, bool, const T*, const T*,                        \
                                      const SmoothL1Weights<T>&, std::int64_t, T*);
FASTCOUNT_INSTANTIATE(float)
FASTCOUNT_INSTANTIATE(double)

}  // namespace fastcount::cpu
