// Maps made of outer products, gathered tile by tile on a GPU: for each tile a block looks through
// the points of its picture in order and keeps those that reach the tile, weighs them 16 at a time
// in shared memory and adds them up in registers. Each cell is written once, and it receives its
// points in their order: no atomics, the same bits every run, and no sorting beforehand, because a
// test of a point against a tile costs far less than its kernel does. The floors of what is drawn
// stand in density_map.cu and gaussian_heatmap.cu; not yet measured on a GPU.
//
// Point (a type of the operator's own, in global memory):
//   int label                                     the plane it is drawn on
//   bool reaches(rows, cols of cells)             whether a tile is touched
//   T row_weight(cell, stride), col_weight(...)   0 outside the point's window
#pragma once

#include <cstdint>

#include "cuda/launch.h"
#include "cuda/point_sets.h"

#if defined(FASTCOUNT_EMULATOR) || defined(__CUDACC__)

namespace fastcount::cuda {

constexpr int kTile = 32;          // cells a side
constexpr int kTileThreads = 256;  // 32 columns, 8 rows of threads, 4 cells each
constexpr int kCellsOfThread = kTile * kTile / kTileThreads;
constexpr int kTogether = 16;  // points weighed at a time

struct CellRange {
  std::int64_t first;
  std::int64_t last;
};

struct PlaneShape {
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t stride;
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

template <typename T, typename Point, bool kMaximum>
__global__ void __launch_bounds__(kTileThreads)
    draw_tiles(const Point* points, SetTable table, PlaneShape shape, T ceiling, T* maps) {
  __shared__ int found[kTileThreads];
  __shared__ int found_by_warp[kTileThreads / 32];
  __shared__ T row_weights[kTogether][kTile];
  __shared__ T col_weights[kTogether][kTile];

  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  const int warp = thread / 32;
  const std::int64_t tiles_across = (shape.cols - 1) / kTile + 1;
  const std::int64_t tiles_down = (shape.rows - 1) / kTile + 1;
  const std::int64_t tile = blockIdx.x;
  const std::int64_t left = tile % tiles_across * kTile;
  const std::int64_t top = tile / tiles_across % tiles_down * kTile;
  const int plane = static_cast<int>(tile / (tiles_across * tiles_down));
  const CellRange rows{top, top + kTile - 1};
  const CellRange cols{left, left + kTile - 1};
  const int set = static_cast<int>(blockIdx.y);
  const std::int64_t end = table.starts[set + 1];

  CarriedSum<T> sums[kCellsOfThread];
  T greatest[kCellsOfThread] = {};
  for (std::int64_t start = table.starts[set]; start < end; start += kTileThreads) {
    const std::int64_t index = start + thread;
    bool reaches = false;
    if (index < end) {
      const Point& point = points[index];
      reaches = point.label == plane && point.reaches(rows, cols, shape.stride);
    }
    const unsigned votes = __ballot_sync(0xFFFFFFFFu, reaches);
    if (lane == 0) found_by_warp[warp] = __popc(votes);
    __syncthreads();
    int before = 0;
    int total = 0;
    for (int i = 0; i < kTileThreads / 32; ++i) {
      if (i < warp) before += found_by_warp[i];
      total += found_by_warp[i];
    }
    if (reaches) found[before + __popc(votes & ((1u << lane) - 1u))] = thread;
    __syncthreads();

    for (int first = 0; first < total; first += kTogether) {
      const int held = min(total - first, kTogether);
      for (int task = thread; task < held * 2 * kTile; task += kTileThreads) {
        const int at = task / (2 * kTile);
        const int cell = task % kTile;
        const Point& point = points[start + found[first + at]];
        if (task / kTile % 2 == 0) {
          row_weights[at][cell] = point.row_weight(top + cell, shape.stride);
        } else {
          col_weights[at][cell] = point.col_weight(left + cell, shape.stride);
        }
      }
      __syncthreads();
      T some[kCellsOfThread] = {};
      for (int at = 0; at < held; ++at) {
        const T across = col_weights[at][lane];
#pragma unroll
        for (int j = 0; j < kCellsOfThread; ++j) {
          const T value = row_weights[at][warp + j * (kTileThreads / 32)] * across;
          if constexpr (kMaximum) {
            greatest[j] = value > greatest[j] ? value : greatest[j];
          } else {
            some[j] += value;
          }
        }
      }
      if constexpr (!kMaximum) {
#pragma unroll
        for (int j = 0; j < kCellsOfThread; ++j) sums[j].add(some[j]);
      }
      __syncthreads();
    }
  }

  if (left + lane >= shape.cols) return;
  T* map = maps + ((table.first_set + set) * shape.planes + plane) * shape.rows * shape.cols;
#pragma unroll
  for (int j = 0; j < kCellsOfThread; ++j) {
    const std::int64_t row = top + warp + j * (kTileThreads / 32);
    const T value = kMaximum ? greatest[j] : sums[j].value();
    // NaN marks a point that is not valid; it must not become the ceiling.
    if (row < shape.rows) map[row * shape.cols + left + lane] = value > ceiling ? ceiling : value;
  }
}

// Draws all sets; maps [sets, planes, rows, cols] are written whole. `offsets` is on the host.
template <typename T, typename Point, bool kMaximum>
cudaError_t draw_all(const Point* points, const std::int64_t* offsets, std::int64_t sets,
                     PlaneShape shape, T ceiling, T* maps, cudaStream_t stream) {
  const std::int64_t tiles =
      ((shape.cols - 1) / kTile + 1) * ((shape.rows - 1) / kTile + 1) * shape.planes;
  return for_each_table(offsets, sets, cudaSuccess,
                        [&](const SetTable& table, std::int64_t) -> cudaError_t {
                          const dim3 grid(blocks_across(tiles), static_cast<unsigned>(table.sets));
                          return LAUNCH((draw_tiles<T, Point, kMaximum>), grid, kTileThreads, 0,
                                        stream, points, table, shape, ceiling, maps);
                        });
}

}  // namespace fastcount::cuda

#endif
