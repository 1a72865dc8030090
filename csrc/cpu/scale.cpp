#include "cpu/scale.h"

#include "cpu/multiversion.h"

namespace fastcount::cpu {
namespace {

template <typename T>
FASTCOUNT_INLINE void run(const T* __restrict slopes, const T* __restrict grads, T scale,
                          std::int64_t count, T* __restrict out) {
  if (grads == nullptr) {
    for (std::int64_t i = 0; i < count; ++i) out[i] = slopes[i] * scale;
  } else {
    for (std::int64_t i = 0; i < count; ++i) out[i] = slopes[i] * (scale * grads[i]);
  }
}

FASTCOUNT_MULTIVERSION
void run_float(const float* slopes, const float* grads, float scale, std::int64_t count,
               float* out) {
  run(slopes, grads, scale, count, out);
}

FASTCOUNT_MULTIVERSION
void run_double(const double* slopes, const double* grads, double scale, std::int64_t count,
                double* out) {
  run(slopes, grads, scale, count, out);
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

}  // namespace fastcount::cpu
