// Floor of peak_map: the map read, the values of the peaks read, a map written: 8 HW bytes and a
// little in float32, and 13 operations a pixel (a key for each, the greatest of eight). Radius 1: a
// thread takes as many pixels of a row as fit 16 bytes and reads three rows once. Other radii: a
// pixel looks at its window, which lies in cache, until something beats it. Not yet measured on a
// GPU.
#include "cuda/peak_map.h"

#include <limits>

#include "cuda/peak_key.h"

namespace fastcount::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T>
__global__ void __launch_bounds__(kThreads)
    keep_peaks(const T* maps, const T* values, std::int64_t total, std::int64_t height,
               std::int64_t width, std::int64_t radius, T* out) {
  using Key = PeakKey<T>;
  const Key absent = absent_key<Key>();
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= total) return;
  const std::int64_t x = i % width;
  const std::int64_t y = i / width % height;
  const T* map = maps + (i - y * width - x);
  const Key key = order_key(to_compute(maps[i]));
  bool peak = key != absent;
  const std::int64_t top = max(y - radius, std::int64_t{0});
  const std::int64_t bottom = min(y + radius, height - 1);
  const std::int64_t left = max(x - radius, std::int64_t{0});
  const std::int64_t right = min(x + radius, width - 1);
  for (std::int64_t row = top; row <= bottom && peak; ++row) {
    for (std::int64_t col = left; col <= right; ++col) {
      if (row == y && col == x) continue;
      const Key other = order_key(to_compute(map[row * width + col]));
      peak &= beats_window(key, other, absent, Key(1));
    }
  }
  out[i] = peak ? values[i] : from_compute<T>(0);
}

// keys[k] of pixel (y, x + k - 1), k = 0 .. kWide + 1; absent outside the map.
template <typename T>
__device__ __forceinline__ void keys_of_row(const T* map, std::int64_t height, std::int64_t width,
                                            std::int64_t y, std::int64_t x,
                                            PeakKey<T> (&keys)[kWide<T> + 2]) {
  using Key = PeakKey<T>;
  constexpr int kCount = kWide<T>;
  for (Key& key : keys) key = absent_key<Key>();
  if (y < 0 || y >= height) return;
  const T* row = map + y * width;
  compute_t<T> values[kCount];
  read_wide(row, x, width, std::numeric_limits<compute_t<T>>::quiet_NaN(), values);
  for (int k = 0; k < kCount; ++k) keys[k + 1] = order_key(values[k]);
  if (x > 0) keys[0] = order_key(to_compute(row[x - 1]));
  if (x + kCount < width) keys[kCount + 1] = order_key(to_compute(row[x + kCount]));
}

// Radius 1; `chunks` of kWide pixels a row.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    keep_among_eight(const T* maps, const T* values, std::int64_t total_chunks, std::int64_t chunks,
                     std::int64_t height, std::int64_t width, T* out) {
  using Key = PeakKey<T>;
  constexpr int kCount = kWide<T>;
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= total_chunks) return;
  const std::int64_t x = i % chunks * kCount;
  const std::int64_t y = i / chunks % height;
  const std::int64_t start = i / chunks / height * height * width;
  Key above[kCount + 2];
  Key here[kCount + 2];
  Key below[kCount + 2];
  keys_of_row(maps + start, height, width, y - 1, x, above);
  keys_of_row(maps + start, height, width, y, x, here);
  keys_of_row(maps + start, height, width, y + 1, x, below);
  for (int k = 0; k < kCount + 2; ++k) above[k] = max(above[k], below[k]);
  Wide<T> kept;
  for (int k = 0; k < kCount; ++k) {
    const Key beside = max(here[k], here[k + 2]);
    const Key others = max(max(above[k], above[k + 1]), max(above[k + 2], beside));
    const bool peak = beats_window(here[k + 1], others, absent_key<Key>(), Key(1));
    kept.at[k] = peak ? values[start + y * width + x + k] : from_compute<T>(0);
  }
  write_wide(out + start + y * width, x, width, kept);
}

}  // namespace

cudaError_t peak_map(Number number, const void* maps, const void* values, std::int64_t count,
                     std::int64_t height, std::int64_t width, std::int64_t radius, void* out,
                     cudaStream_t stream) {
  const std::int64_t total = count * height * width;
  return visit_number(number, [&](auto zero) -> cudaError_t {
    using T = decltype(zero);
    if (radius == 1) {
      const std::int64_t chunks = (width + kWide<T> - 1) / kWide<T>;
      const std::int64_t all = count * height * chunks;
      return LAUNCH(keep_among_eight<T>, blocks_across(all, kThreads), kThreads, 0, stream,
                    static_cast<const T*>(maps), static_cast<const T*>(values), all, chunks, height,
                    width, static_cast<T*>(out));
    }
    return LAUNCH(keep_peaks<T>, blocks_across(total, kThreads), kThreads, 0, stream,
                  static_cast<const T*>(maps), static_cast<const T*>(values), total, height, width,
                  radius, static_cast<T*>(out));
  });
}

}  // namespace fastcount::cuda
