// Floor of peak_map: the map read, the values of the peaks read, a map written: 8 HW bytes and a
// little in float32. A pixel looks at its window, which lies in cache, until something beats it.
// Not yet measured on a GPU.
#include "cuda/peak_map.h"

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

}  // namespace

cudaError_t peak_map(Number number, const void* maps, const void* values, std::int64_t count,
                     std::int64_t height, std::int64_t width, std::int64_t radius, void* out,
                     cudaStream_t stream) {
  const std::int64_t total = count * height * width;
  return visit_number(number, [&](auto zero) -> cudaError_t {
    using T = decltype(zero);
    return LAUNCH(keep_peaks<T>, static_cast<unsigned>((total + kThreads - 1) / kThreads), kThreads,
                  0, stream, static_cast<const T*>(maps), static_cast<const T*>(values), total,
                  height, width, radius, static_cast<T*>(out));
  });
}

}  // namespace fastcount::cuda
