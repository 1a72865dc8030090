// Floor of peak_map: the map read, the values of the peaks read, a map written: 8 HW bytes and a
// little in float32, and 8 comparisons a pixel. Radius 1: warps walk down the rows
// (warp_rows.h). Other radii: a pixel looks at its window, which lies in cache, until something
// beats it. On an H200, 64 maps of 1024 x 1024: 0.180 ms, 71 % of what a copy moves (measured when
// a ninth more rows were read than are used; not since).
#include "cuda/peak_map.h"

#include <algorithm>
#include <limits>

#include "cuda/peak_key.h"
#include "cuda/warp_rows.h"

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

// Radius 1. A NaN, which the greatest of others passes over, is no peak and beats none.
template <typename T, bool kAligned>
__global__ void __launch_bounds__(kRowThreads)
    keep_among_eight(const T* __restrict__ maps, const T* __restrict__ values, std::int64_t count,
                     MapShape shape, T* __restrict__ out) {
  using Value = compute_t<T>;
  constexpr int kCount = kWide<T>;
  const Walk walk = Walk::of_warp(shape, 32 * kCount);
  if (walk.map >= count) return;
  const int x = walk.left + static_cast<int>(threadIdx.x) % 32 * kCount;
  const RowReader<T, kAligned, true> reader(maps, shape, walk, x);
  const T* of_map = values + walk.map * shape.height * shape.width;
  T* to = out + walk.map * shape.height * shape.width;
  const Value none = std::numeric_limits<Value>::quiet_NaN();
  const int top = walk.top;
  const int bottom = min(top + kRowsOfWalk, shape.height);
  LoadedPart<T> soon = reader.load(top + 1);
  LoadedPart<T> later = reader.load(top + 2);
  Value above[kCount];
  Value below[kCount];
  greatest_of_three(reader.spread(reader.load(top - 1), top - 1, none), above);
  RowPart<Value, kCount> here = reader.spread(reader.load(top), top, none);
#pragma unroll 2
  for (int y = top; y < bottom; ++y) {
    const RowPart<Value, kCount> next = reader.spread(soon, y + 1, none);
    soon = later;
    later = reader.load(y + 3);
    greatest_of_three(next, below);
    bool peak[kCount];
    bool any = false;
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      const Value own = here.at[k + 1];
      const Value beside = greater(here.at[k], here.at[k + 2]);
      peak[k] = own == own && !(greater(greater(above[k], below[k]), beside) >= own);
      any |= peak[k];
    }
    Wide<T> kept{};
    if (any) {
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        if (peak[k]) kept.at[k] = of_map[pixel_number(y, x + k, shape.width)];
      }
    }
    write_part<T, kAligned>(to, y, x, shape.width, kept);
    // A row's greatest of three serves the row below as well.
    greatest_of_three(here, above);
    here = next;
  }
}

}  // namespace

cudaError_t peak_map(Number number, const void* maps, const void* values, std::int64_t count,
                     std::int64_t height, std::int64_t width, std::int64_t radius, void* out,
                     cudaStream_t stream) {
  const std::int64_t total = count * height * width;
  return visit_number(number, [&](auto zero) -> cudaError_t {
    using T = decltype(zero);
    if (radius == 1) {
      const std::int64_t walks = count * walks_of(height, width, 32 * kWide<T>);
      const MapShape shape{static_cast<int>(height), static_cast<int>(width)};
      const unsigned blocks = blocks_across(walks, kRowWarps);
      const auto* from = static_cast<const T*>(maps);
      const auto* kept = static_cast<const T*>(values);
      auto* to = static_cast<T*>(out);
      return rows_aligned<T>(maps, width) && rows_aligned<T>(out, width)
                 ? LAUNCH((keep_among_eight<T, true>), blocks, kRowThreads, 0, stream, from, kept,
                          count, shape, to)
                 : LAUNCH((keep_among_eight<T, false>), blocks, kRowThreads, 0, stream, from, kept,
                          count, shape, to);
    }
    const std::int64_t reach = std::min(radius, std::max(height, width));  // beyond it is no map
    return LAUNCH(keep_peaks<T>, blocks_across(total, kThreads), kThreads, 0, stream,
                  static_cast<const T*>(maps), static_cast<const T*>(values), total, height, width,
                  reach, static_cast<T*>(out));
  });
}

}  // namespace fastcount::cuda
