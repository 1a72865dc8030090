#include "cpu/scale.h"

#include "cpu/multiversion.h"

namespace fastcount::cpu {
namespace {

template <typename T>
FASTCOUNT_INLINE void run(const T* __restrict slopes, const T* __restrict grads, T factor,
                          std::int64_t count, T* __restrict out) {
  if (grads == nullptr) {
    for (std::int64_t i = 0; i < count; ++i) out[i] = slopes[i] * factor;
  } else {
    for (std::int64_t i = 0; i < count; ++i) out[i] = slopes[i] * (factor * grads[i]);
  }
}

FASTCOUNT_MULTIVERSION
void run_float(const float* slopes, const float* grads, float factor, std::int64_t count,
               float* out) {
  run(slopes, grads, factor, count, out);
}

FASTCOUNT_MULTIVERSION
void run_double(const double* slopes, const double* grads, double factor, std::int64_t count,
                double* out) {
  run(slopes, grads, factor, count, out);
}

}  // namespace

template <>
void scale<float>(const float* slopes, const float* grads, float factor, std::int64_t count,
                  float* out) {
  run_float(slopes, grads, factor, count, out);
}

template <>
void scale<double>(const double* slopes, const double* grads, double factor, std::int64_t count,
                   double* out) {
  run_double(slopes, grads, factor, count, out);
}

FASTCOUNT_MULTIVERSION
void scale_in_place(float* values, float factor, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) values[i] *= factor;
}

FASTCOUNT_MULTIVERSION
void scale_in_place(double* values, double factor, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) values[i] *= factor;
}

}  // namespace fastcount::cpu
