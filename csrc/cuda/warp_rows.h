// Windows of 3 x 3 without shared memory: each warp walks down kRows rows of a map, a lane holding
// the neighbouring pixels of one access of 16 bytes; what lies beside those comes from the lanes
// beside it by shuffles. Each row is read once, and one more above and below. Rows are loaded two
// steps before they are used, so that enough is in flight.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/wide.h"

#if defined(FASTCOUNT_EMULATOR) || defined(__CUDACC__)

namespace fastcount::cuda {

constexpr int kRowThreads = 256;
constexpr int kRowWarps = kRowThreads / 32;

// Rows that a warp walks down: two more are read, so few would be read too often, and many would
// leave too few warps for small maps.
constexpr int kRowsOfWalk = 16;

// A map's size in 32 bits: it has fewer than 2^31 pixels.
struct MapShape {
  int height, width;
};

// How many warps cover a map: each `columns` pixels across and kRowsOfWalk down.
inline std::int64_t walks_of(std::int64_t height, std::int64_t width, int columns) {
  return ((width + columns - 1) / columns) * ((height + kRowsOfWalk - 1) / kRowsOfWalk);
}

// By a shuffle the compiler learns that it is the same for the whole warp.
__device__ __forceinline__ int warp_of_block() {
  return __shfl_sync(0xFFFFFFFFu, static_cast<int>(threadIdx.x) / 32, 0);
}

// Where this warp walks. `map` is beyond the last one for warps without work.
struct Walk {
  std::int64_t map;
  int left, top;

  __device__ __forceinline__ static Walk of_warp(const MapShape& shape, int columns) {
    const int across = (shape.width + columns - 1) / columns;
    const int down = (shape.height + kRowsOfWalk - 1) / kRowsOfWalk;
    const std::int64_t warp = static_cast<std::int64_t>(blockIdx.x) * kRowWarps + threadIdx.x / 32;
    const std::int64_t map = warp / (across * static_cast<std::int64_t>(down));
    const auto at = static_cast<int>(warp - map * across * down);
    return {map, at % across * columns, at / across * kRowsOfWalk};
  }
};

// A lane's pixels of one row and one more at either end: at[k + 1] is pixel x + k.
template <typename Value, int kCount>
struct RowPart {
  Value at[kCount + 2];
};

// Whether rows can be moved by whole accesses: each begins on 16 bytes and ends where one does.
template <typename T>
inline bool rows_aligned(const void* map, std::int64_t width) {
  return width % kWide<T> == 0 && reinterpret_cast<std::uintptr_t>(map) % 16 == 0;
}

// Where a pixel lies in its map; of one outside some number.
__device__ __forceinline__ unsigned pixel_number(int y, int x, int width) {
  return static_cast<unsigned>(y) * static_cast<unsigned>(width) + static_cast<unsigned>(x);
}

// What a lane reads of one row, whose use can come later.
template <typename T>
struct LoadedPart {
  Wide<T> pixels;
  T edge;
};

// Reads the rows of a map from column x on. With kEdges the outermost pixels of a warp, which no
// lane holds, are read one by one; without they are some other pixel's. With kEdges a row further
// below than the one after the walk's last is not read: it was only asked for ahead of time.
// (Without there is no register to spare to know that.) Where rows are not aligned all pixels are
// read so.
template <typename T, bool kAligned, bool kEdges>
struct RowReader {
  static constexpr int kCount = kWide<T>;
  using Value = compute_t<T>;

  const T* __restrict__ map;
  MapShape shape;
  int x;
  int lane;
  int end;           // of the rows that are read
  bool inside;       // the lane's columns, where rows are aligned: all or none
  bool edge_inside;  // an outermost lane's column beside its own

  __device__ __forceinline__ RowReader(const T* maps, const MapShape& size, const Walk& walk,
                                       int column)
      : map(maps + walk.map * size.height * size.width),
        shape(size),
        x(column),
        lane(static_cast<int>(threadIdx.x) % 32),
        end(kEdges ? min(walk.top + kRowsOfWalk + 1, size.height) : size.height),
        inside(column_inside(column)),
        edge_inside((lane == 0 || lane == 31) && column_inside(edge_column())) {}

  __device__ __forceinline__ bool column_inside(int column) const {
    return column >= 0 && column < shape.width;
  }
  // Whether the k-th of the lane's columns is on the map.
  __device__ __forceinline__ bool holds(int k) const {
    return kAligned ? inside : column_inside(x + k);
  }
  __device__ __forceinline__ bool row_inside(int y) const { return y >= 0 && y < shape.height; }
  __device__ __forceinline__ int edge_column() const { return lane == 0 ? x - 1 : x + kCount; }
  __device__ __forceinline__ const T* pixel(int y, int column) const {
    return map + pixel_number(y, column, shape.width);
  }

  __device__ __forceinline__ LoadedPart<T> load(int y) const {
    LoadedPart<T> loaded{};
    const bool on_map = y >= 0 && y < end;
    if constexpr (kAligned) {
      if (on_map && inside) loaded.pixels = *reinterpret_cast<const Wide<T>*>(pixel(y, x));
    } else {
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        if (on_map && holds(k)) loaded.pixels.at[k] = *pixel(y, x + k);
      }
    }
    if constexpr (kEdges) {
      if (on_map && edge_inside) loaded.edge = *pixel(y, edge_column());
    }
    return loaded;
  }

  // The whole warp comes here, its lanes side by side. `outside` stands for what is not on the map.
  __device__ __forceinline__ RowPart<Value, kCount> spread(const LoadedPart<T>& loaded, int y,
                                                           Value outside) const {
    RowPart<Value, kCount> part;
    const bool on_map = row_inside(y);
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      const bool held = on_map && holds(k);
      part.at[k + 1] = held ? to_compute(loaded.pixels.at[k]) : outside;
    }
    part.at[0] = __shfl_up_sync(0xFFFFFFFFu, part.at[kCount], 1);
    part.at[kCount + 1] = __shfl_down_sync(0xFFFFFFFFu, part.at[1], 1);
    if constexpr (kEdges) {
      const Value edge = on_map && edge_inside ? to_compute(loaded.edge) : outside;
      if (lane == 0) part.at[0] = edge;
      if (lane == 31) part.at[kCount + 1] = edge;
    }
    return part;
  }
};

// Pixels (y, x) .. of one map, those on it.
template <typename T, bool kAligned>
__device__ __forceinline__ void write_part(T* map, int y, int x, int width, const Wide<T>& values) {
  if constexpr (kAligned) {
    if (x >= 0 && x < width) {
      *reinterpret_cast<Wide<T>*>(map + pixel_number(y, x, width)) = values;
    }
  } else {
#pragma unroll
    for (int k = 0; k < kWide<T>; ++k) {
      if (x + k >= 0 && x + k < width) map[pixel_number(y, x + k, width)] = values.at[k];
    }
  }
}

// The greater; of a number and NaN the number.
__device__ __forceinline__ float greater(float a, float b) { return fmaxf(a, b); }
__device__ __forceinline__ double greater(double a, double b) { return fmax(a, b); }

// The greatest of each three neighbours.
template <typename Value, int kCount>
__device__ __forceinline__ void greatest_of_three(const RowPart<Value, kCount>& part,
                                                  Value (&greatest)[kCount]) {
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    greatest[k] = greater(greater(part.at[k], part.at[k + 1]), part.at[k + 2]);
  }
}

}  // namespace fastcount::cuda

#endif
