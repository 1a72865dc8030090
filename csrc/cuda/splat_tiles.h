// Maps made of outer products, gathered tile by tile on a GPU. A block draws a strip of tiles, one
// beside the other: it lists, in order, the points of its picture whose window reaches the strip's
// rows; for each tile it takes those that reach its columns, weighs them 16 at a time in shared
// memory and adds them up in registers, each warp only those that reach its own rows. Each cell is
// written once, 16 bytes at a time, and it receives its points in their order: no atomics, the same
// bits every run, no sorting beforehand. The floors of what is drawn stand in density_map.cu and
// gaussian_heatmap.cu.
//
// Point (a type of the operator's own, in global memory):
//   PointBox box                                  its window, in pixels or cells (PlaneShape::unit)
//   bool is_on(plane)                             whether it is drawn on that plane
//   T row_weight(cell, stride), col_weight(...)   of a cell of the map; 0 outside the window
#pragma once

#include <algorithm>
#include <cstdint>

#include "cuda/launch.h"
#include "cuda/point_sets.h"
#include "cuda/wide.h"
#include "math/extremes.h"

#if defined(FASTCOUNT_EMULATOR) || defined(__CUDACC__)

namespace fastcount::cuda {

constexpr int kTileThreads = 256;
constexpr int kTileWarps = kTileThreads / 32;
constexpr int kRowsOfWarp = 4;
constexpr int kTileRows = kTileWarps * kRowsOfWarp;
constexpr int kTogether = 16;  // points weighed at a time
constexpr int kListed = 1024;  // points of a strip that are listed at a time

struct alignas(16) PointBox {
  std::int32_t top, bottom, left, right;  // both ends inside; bottom < top: reaches nothing
};

struct PlaneShape {
  int rows, cols;
  int stride;  // pixels a cell
  int unit;    // of the points' boxes, a cell: stride where they are in pixels, 1 in cells
  int planes;  // of one picture
};

// What a sum has lost to rounding is carried along, so that a crowd of small terms is not lost.
template <typename T>
struct CarriedSum {
  T sum = 0;
  T carry = 0;

  __device__ __forceinline__ void add(T term) {
    const T next = sum + term;
    const T back = next - sum;
    carry += (sum - (next - back)) + (term - back);
    sum = next;
  }
  __device__ __forceinline__ T value() const { return sum + carry; }
};

struct Span {
  std::int32_t first, last;
};

// Cells first .. first + count - 1 in the boxes' unit.
__device__ __forceinline__ Span span_of(int first, int count, int unit) {
  constexpr std::int64_t kMost = INT32_MAX;
  const std::int64_t begin = std::int64_t{first} * unit;
  const std::int64_t end = (std::int64_t{first} + count) * unit - 1;
  return {static_cast<std::int32_t>(min(begin, kMost)), static_cast<std::int32_t>(min(end, kMost))};
}

// Where this thread's element goes among those of the block that are kept, after `listed` others;
// `listed` grows by their number. One barrier: `counts` are another set of kTileWarps every time.
__device__ __forceinline__ int place_in_order(bool keep, int* counts, int& listed) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const unsigned votes = __ballot_sync(0xFFFFFFFFu, keep);
  if (lane == 0) counts[warp] = __popc(votes);
  __syncthreads();
  int place = listed + __popc(votes & ((1u << lane) - 1u));
#pragma unroll
  for (int i = 0; i < kTileWarps; ++i) {
    const int count = counts[i];
    if (i < warp) place += count;
    listed += count;
  }
  return place;
}

// A point of a strip's list: which one, and the columns that it reaches.
struct Listed {
  std::int32_t index;
  Span cols;
};

// A warp's walk over a strip's list for one tile. Every warp walks alike, so no warp waits for
// another to know what a tile's next points are.
struct ListWalk {
  int next = 0;        // where in the list the warp will read on
  bool waits = false;  // the element that this lane has read reaches the tile and is not yet taken
  std::int32_t index = -1;

  // How many the next points of the tile are, up to kTogether. Those that this warp has to weigh,
  // one in kTileWarps, it leaves in `chosen`, where no other warp looks for them.
  __device__ __forceinline__ int take_group(const Listed* list, int listed, const Span& cols,
                                            std::int32_t* chosen) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int warp = static_cast<int>(threadIdx.x) / 32;
    int held = 0;
    while (true) {
      const unsigned waiting = __ballot_sync(0xFFFFFFFFu, waits);
      const int place = held + __popc(waiting & ((1u << lane) - 1u));
      const bool taken = waits && place < kTogether;
      if (taken && place % kTileWarps == warp) chosen[place] = index;
      waits = waits && !taken;
      held = min(held + __popc(waiting), kTogether);
      if (held == kTogether || next >= listed) break;
      if (next + lane < listed) {
        const Listed element = list[next + lane];
        index = element.index;
        waits = element.cols.last >= cols.first && element.cols.first <= cols.last;
      }
      next += 32;
    }
    __syncwarp();
    return held;
  }
};

template <typename T, int kRows, int kCols>
__device__ __forceinline__ void take(const T (&terms)[kRows][kCols],
                                     CarriedSum<T> (&sums)[kRows][kCols]) {
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int c = 0; c < kCols; ++c) sums[r][c].sum = terms[r][c];
  }
}

template <typename T, int kRows, int kCols>
__device__ __forceinline__ void add(const T (&terms)[kRows][kCols],
                                    CarriedSum<T> (&sums)[kRows][kCols]) {
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int c = 0; c < kCols; ++c) sums[r][c].add(terms[r][c]);
  }
}

// `room`: how many of the cells lie on the map. `wide`: all or none do, and `to` is aligned.
template <typename T, int kCols>
__device__ __forceinline__ void write_cells(const T (&cells)[kCols], int room, bool wide, T* to) {
  if constexpr (kCols % kWide<T> == 0) {
    if (wide) {
#pragma unroll
      for (int first = 0; first < kCols; first += kWide<T>) {
        Wide<T> values;
#pragma unroll
        for (int k = 0; k < kWide<T>; ++k) values.at[k] = cells[first + k];
        if (room > 0) *reinterpret_cast<Wide<T>*>(to + first) = values;
      }
      return;
    }
  }
#pragma unroll
  for (int c = 0; c < kCols; ++c) {
    if (c < room) to[c] = cells[c];
  }
}

// kCols: columns a lane. Three blocks a multiprocessor where cells are float32.
template <typename T, typename Point, bool kMaximum, int kCols>
__global__ void __launch_bounds__(kTileThreads, sizeof(T) == 4 ? 3 : 1)
    draw_tiles(const Point* points, SetTable table, PlaneShape shape, int tiles_of_block, T ceiling,
               T* maps) {
  constexpr int kTileCols = 32 * kCols;
  __shared__ Listed list[kListed];
  __shared__ std::int32_t chosen[kTogether];
  __shared__ int counts[2][kTileWarps];
  __shared__ Span rows_of_point[kTogether];
  alignas(16) __shared__ T row_weights[kTogether][kTileRows];
  alignas(16) __shared__ T col_weights[kTogether][kTileCols];

  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  const int warp = thread / 32;
  const int tiles_across = (shape.cols - 1) / kTileCols + 1;
  const int strips_across = (tiles_across - 1) / tiles_of_block + 1;
  const int strips_down = (shape.rows - 1) / kTileRows + 1;
  const auto strip = static_cast<int>(blockIdx.x);
  const int first_tile = strip % strips_across * tiles_of_block;
  const int last_tile = min(first_tile + tiles_of_block, tiles_across) - 1;
  const int top = strip / strips_across % strips_down * kTileRows;
  const int plane = strip / strips_across / strips_down;
  const int own_top = top + warp * kRowsOfWarp;
  const Span strip_rows = span_of(top, kTileRows, shape.unit);
  const Span own_rows = span_of(own_top, kRowsOfWarp, shape.unit);
  const int set = static_cast<int>(blockIdx.y);
  const std::int64_t begin = table.starts[set];
  const auto end = static_cast<int>(table.starts[set + 1] - begin);
  const Point* own_points = points + begin;
  T* map = maps + ((table.first_set + set) * shape.planes + plane) *
                      (static_cast<std::int64_t>(shape.rows) * shape.cols);

  const bool wide =
      shape.cols % kCols == 0 && reinterpret_cast<std::uintptr_t>(map) % sizeof(Wide<T>) == 0;
  int turn = 0;  // which of the two sets of counts
  int next = 0;
  int listed = 0;
  bool all_listed = false;
  for (int tile = first_tile; tile <= last_tile; ++tile) {
    const int left = tile * kTileCols;
    const Span cols = span_of(left, kTileCols, shape.unit);
    CarriedSum<T> sums[kRowsOfWarp][kCols];
    T greatest[kRowsOfWarp][kCols] = {};
    bool first_group = true;
    if (!all_listed) next = 0;
    do {
      if (!all_listed) {
        const bool from_the_first = next == 0;
        __syncthreads();  // the last list has been read
        listed = 0;
        for (; next < end && listed + kTileThreads <= kListed; next += kTileThreads) {
          const int index = next + thread;
          PointBox box{};
          bool reaches = false;
          if (index < end) {
            box = own_points[index].box;
            reaches = box.bottom >= strip_rows.first && box.top <= strip_rows.last &&
                      own_points[index].is_on(plane);
          }
          const int place = place_in_order(reaches, counts[turn], listed);
          turn ^= 1;
          if (reaches) list[place] = {index, {box.left, box.right}};
        }
        all_listed = from_the_first && next >= end;
        __syncthreads();
      }
      ListWalk walk;
      while (const int held = walk.take_group(list, listed, cols, chosen)) {
        for (int at = warp; at < held; at += kTileWarps) {
          const Point point = own_points[chosen[at]];  // read once for all its weights
          if (lane == 0) rows_of_point[at] = {point.box.top, point.box.bottom};
          row_weights[at][lane] =
              lane < shape.rows - top ? point.row_weight(top + lane, shape.stride) : T(0);
#pragma unroll 2  // four at once would not fit into the registers
          for (int segment = 0; segment < kCols; ++segment) {
            const int col = 32 * segment + lane;
            col_weights[at][col] =
                col < shape.cols - left ? point.col_weight(left + col, shape.stride) : T(0);
          }
        }
        __syncthreads();
        T some[kRowsOfWarp][kCols] = {};
        for (int at = 0; at < held; ++at) {
          const Span reach = rows_of_point[at];
          if (reach.last < own_rows.first || reach.first > own_rows.last) continue;
          T across[kCols];
          T down[kRowsOfWarp];
#pragma unroll
          for (int c = 0; c < kCols; ++c) across[c] = col_weights[at][lane * kCols + c];
#pragma unroll
          for (int r = 0; r < kRowsOfWarp; ++r) {
            down[r] = row_weights[at][warp * kRowsOfWarp + r];
          }
#pragma unroll
          for (int r = 0; r < kRowsOfWarp; ++r) {
#pragma unroll
            for (int c = 0; c < kCols; ++c) {
              if constexpr (kMaximum) {
                greatest[r][c] = greater_or_nan(greatest[r][c], down[r] * across[c]);
              } else {
                some[r][c] += down[r] * across[c];
              }
            }
          }
        }
        if constexpr (!kMaximum) {
          if (first_group) {
            take(some, sums);
          } else {
            add(some, sums);
          }
        }
        first_group = false;
        __syncthreads();
      }
    } while (next < end);

    // Columns of this lane that lie on the map.
    const int room = shape.cols - left - lane * kCols;
    T* to = map + static_cast<std::int64_t>(own_top) * shape.cols + left + lane * kCols;
#pragma unroll
    for (int r = 0; r < kRowsOfWarp; ++r) {
      if (r >= shape.rows - own_top) continue;
      T cells[kCols];
#pragma unroll
      for (int c = 0; c < kCols; ++c) {
        const T value = kMaximum ? greatest[r][c] : sums[r][c].value();
        // NaN marks a point that is not valid; it must not become the ceiling.
        cells[c] = value > ceiling ? ceiling : value;
      }
      write_cells(cells, room, wide, to + static_cast<std::int64_t>(r) * shape.cols);
    }
  }
}

template <typename T, typename Point, bool kMaximum, int kCols>
cudaError_t draw_strips(const Point* points, const std::int64_t* offsets, std::int64_t sets,
                        PlaneShape shape, int tiles_of_block, T ceiling, T* maps,
                        cudaStream_t stream) {
  const std::int64_t across = (shape.cols - 1) / (32 * kCols) + 1;
  const std::int64_t strips = ((across - 1) / tiles_of_block + 1) *
                              ((shape.rows - 1) / kTileRows + 1) *
                              static_cast<std::int64_t>(shape.planes);
  return for_each_table(
      offsets, sets, cudaSuccess, [&](const SetTable& table, std::int64_t largest) -> cudaError_t {
        if (largest > INT32_MAX / 2) return cudaErrorInvalidValue;
        const dim3 grid(blocks_across(strips), static_cast<unsigned>(table.sets));
        return LAUNCH((draw_tiles<T, Point, kMaximum, kCols>), grid, kTileThreads, 0, stream,
                      points, table, shape, tiles_of_block, ceiling, maps);
      });
}

// Draws all sets; maps [sets, planes, rows, cols] are written whole. `offsets` is on the host. A
// map's cells do not depend on what else is drawn with it: the width of tiles, which decides which
// terms are added together, follows from the map's size alone.
template <typename T, typename Point, bool kMaximum>
cudaError_t draw_all(const Point* points, const std::int64_t* offsets, std::int64_t sets,
                     PlaneShape shape, T ceiling, T* maps, cudaStream_t stream) {
  constexpr int kWideCols = 4;
  constexpr std::int64_t kLargeMap = 256 * 256;
  constexpr std::int64_t kManyBlocks = 1024;  // to keep a large GPU busy
  constexpr std::int64_t kMostTiles = 8;      // of a block
  const std::int64_t cells = static_cast<std::int64_t>(shape.rows) * shape.cols;
  if (cells < kLargeMap) {
    return draw_strips<T, Point, kMaximum, 1>(points, offsets, sets, shape, 1, ceiling, maps,
                                              stream);
  }
  const std::int64_t tiles = cells / (kTileRows * 32 * kWideCols) * shape.planes * sets;
  const auto of_block =
      static_cast<int>(std::clamp<std::int64_t>(tiles / kManyBlocks, 1, kMostTiles));
  return draw_strips<T, Point, kMaximum, kWideCols>(points, offsets, sets, shape, of_block, ceiling,
                                                    maps, stream);
}

}  // namespace fastcount::cuda

#endif
