// The order keys of pixels of a map in GPU memory, smoothed where asked for.
#pragma once

#include <cstdint>

#include "cuda/wide.h"
#include "math/find_peaks.h"

namespace fastcount::cuda {

template <typename T>
using PeakKey = OrderKey<compute_t<T>>;

// The key as an unsigned number in the same order, as wide as the key, for a search digit by digit.
template <typename Key>
__device__ __forceinline__ std::uint64_t height_of(Key key) {
  constexpr int kBits = 8 * sizeof(Key);
  const auto flipped = static_cast<std::uint64_t>(key) ^ (std::uint64_t{1} << (kBits - 1));
  return kBits == 64 ? flipped : flipped & 0xFFFFFFFFu;
}

// Down one column of three rows, zeros outside the map.
template <typename T>
__device__ __forceinline__ compute_t<T> column_of_three(const T* map, std::int64_t height,
                                                        std::int64_t width, std::int64_t y,
                                                        std::int64_t x) {
  using Value = compute_t<T>;
  if (x < 0 || x >= width) return Value(0);
  const Value above = y > 0 ? to_compute(map[(y - 1) * width + x]) : Value(0);
  const Value below = y + 1 < height ? to_compute(map[(y + 1) * width + x]) : Value(0);
  return above + to_compute(map[y * width + x]) + below;
}

// The key of pixel (y, x) of the map, or the absent key for one outside it or below `least`.
template <typename T>
__device__ __forceinline__ PeakKey<T> peak_key(const T* map, std::int64_t height,
                                               std::int64_t width, bool smooth, PeakKey<T> least,
                                               std::int64_t y, std::int64_t x) {
  using Key = PeakKey<T>;
  if (y < 0 || y >= height || x < 0 || x >= width) return absent_key<Key>();
  const compute_t<T> value = smooth ? mean_of_nine(column_of_three(map, height, width, y, x - 1),
                                                   column_of_three(map, height, width, y, x),
                                                   column_of_three(map, height, width, y, x + 1))
                                    : to_compute(map[y * width + x]);
  const Key key = order_key(value);
  return key >= least ? key : absent_key<Key>();
}

// The same for pixels (y, x) .. (y, x + kWide - 1), read as widely as their rows allow. Zeros lie
// around a map that is smoothed.
template <typename T, bool kSmooth>
__device__ __forceinline__ void peak_keys(const T* map, std::int64_t height, std::int64_t width,
                                          PeakKey<T> least, std::int64_t y, std::int64_t x,
                                          PeakKey<T> (&keys)[kWide<T>]) {
  using Key = PeakKey<T>;
  using Value = compute_t<T>;
  constexpr int kCount = kWide<T>;
  const bool on_map = y >= 0 && y < height;
  Value values[kCount] = {};
  if (on_map) read_wide(map + y * width, x, width, Value(0), values);
  if constexpr (kSmooth) {
    if (on_map) {
      Value columns[kCount + 2];
      Value above[kCount] = {};
      Value below[kCount] = {};
      if (y > 0) read_wide(map + (y - 1) * width, x, width, Value(0), above);
      if (y + 1 < height) read_wide(map + (y + 1) * width, x, width, Value(0), below);
      columns[0] = column_of_three(map, height, width, y, x - 1);
      columns[kCount + 1] = column_of_three(map, height, width, y, x + kCount);
      for (int k = 0; k < kCount; ++k) columns[k + 1] = above[k] + values[k] + below[k];
      for (int k = 0; k < kCount; ++k) {
        values[k] = mean_of_nine(columns[k], columns[k + 1], columns[k + 2]);
      }
    }
  }
  for (int k = 0; k < kCount; ++k) {
    const bool inside = on_map && x + k >= 0 && x + k < width;
    const Key key = inside ? order_key(values[k]) : absent_key<Key>();
    keys[k] = key >= least ? key : absent_key<Key>();
  }
}

}  // namespace fastcount::cuda
