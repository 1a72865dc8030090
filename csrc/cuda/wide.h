// Neighbouring elements of a row of any width that begins anywhere: moved by one access of 16 bytes
// where they lie on 16 bytes and inside the row, one by one elsewhere. (quad.h is for whole maps
// that are known to be aligned.)
#pragma once

#include <cstdint>

#include "cuda/number.h"
#include "math/host_device.h"

namespace fastcount::cuda {

// Elements of one access.
template <typename T>
constexpr int kWide = 16 / static_cast<int>(sizeof(T));

// `margin` columns rounded up to whole accesses, so that a tile with such a margin begins where its
// row is aligned.
template <typename T>
constexpr FASTCOUNT_HD int wide_margin(int margin) {
  return (margin + kWide<T> - 1) / kWide<T> * kWide<T>;
}

template <typename T>
struct alignas(16) Wide {
  T at[kWide<T>];
};

template <typename T>
__device__ __forceinline__ bool is_wide(const T* row, std::int64_t x, std::int64_t width) {
  return x >= 0 && x + kWide<T> <= width && reinterpret_cast<std::uintptr_t>(row + x) % 16 == 0;
}

// values[k] = row[x + k], or `outside` beyond the row's `width` elements.
template <typename T>
__device__ __forceinline__ void read_wide(const T* row, std::int64_t x, std::int64_t width,
                                          compute_t<T> outside, compute_t<T> (&values)[kWide<T>]) {
  if (is_wide(row, x, width)) {
    const Wide<T> loaded = *reinterpret_cast<const Wide<T>*>(row + x);
    for (int k = 0; k < kWide<T>; ++k) values[k] = to_compute(loaded.at[k]);
    return;
  }
  for (int k = 0; k < kWide<T>; ++k) {
    values[k] = x + k >= 0 && x + k < width ? to_compute(row[x + k]) : outside;
  }
}

// row[x + k] = values[k] where that is on the row.
template <typename T>
__device__ __forceinline__ void write_wide(T* row, std::int64_t x, std::int64_t width,
                                           const Wide<T>& values) {
  if (is_wide(row, x, width)) {
    *reinterpret_cast<Wide<T>*>(row + x) = values;
    return;
  }
  for (int k = 0; k < kWide<T>; ++k) {
    if (x + k >= 0 && x + k < width) row[x + k] = values.at[k];
  }
}

}  // namespace fastcount::cuda
