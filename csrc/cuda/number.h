// The number types of tensors, and in which type a kernel computes with them.
#pragma once

#include <type_traits>

#include "cuda/launch.h"

namespace fastcount::cuda {

enum class Number { kFloat32, kFloat64, kFloat16, kBfloat16 };

inline int size_of(Number number) {
  if (number == Number::kFloat64) return 8;
  return number == Number::kFloat32 ? 4 : 2;
}

template <typename T>
struct Compute {
  using type = float;
};
template <>
struct Compute<double> {
  using type = double;
};
// double for double; float for float, __half and __nv_bfloat16.
template <typename T>
using compute_t = typename Compute<T>::type;

#if defined(FASTCOUNT_EMULATOR) || defined(__CUDACC__)

__device__ __forceinline__ float to_compute(float value) { return value; }
__device__ __forceinline__ double to_compute(double value) { return value; }
__device__ __forceinline__ float to_compute(__half value) { return __half2float(value); }
__device__ __forceinline__ float to_compute(__nv_bfloat16 value) { return __bfloat162float(value); }

template <typename T>
__device__ __forceinline__ T from_compute(compute_t<T> value) {
  if constexpr (sizeof(T) == sizeof(value)) {
    return value;
  } else if constexpr (sizeof(T) == 2 && std::is_same_v<T, __half>) {
    return __float2half_rn(value);
  } else {
    return __float2bfloat16_rn(value);
  }
}

// Calls `work` with a value of the C++ type of `number`: visit_number(number, [&](auto zero) {
// using T = decltype(zero); ... }).
template <typename Work>
inline cudaError_t visit_number(Number number, Work&& work) {
  switch (number) {
    case Number::kFloat32:
      return work(float{});
    case Number::kFloat64:
      return work(double{});
    case Number::kFloat16:
      return work(__half{});
    case Number::kBfloat16:
      return work(__nv_bfloat16{});
  }
  return cudaErrorInvalidValue;
}

#endif

}  // namespace fastcount::cuda
