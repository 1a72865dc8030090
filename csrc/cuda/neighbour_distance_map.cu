// Floor: 8 HW / stride^2 bytes written, 16 read a point; k distances a cell.
//
// A block answers 16 x 16 cells. First it bounds how far from the middle of its cells a point
// can be and still be one of the k nearest of some cell: each eight of its 256 threads find the
// nearest of their share of the points; the k-th least of these (for k above 32 of each thread's
// own) is no less than the k-th nearest of all, and a cell is at most half a diagonal away from
// the middle. The points within the bound (few, unless there are few at all) then go through
// shared memory, and each cell keeps its nearest in registers: sorted values, so the order of
// work does not show. For n points a tile costs 2 n / 256 distances a thread and those of its
// own candidates. More than 16 neighbours are taken 16 at a time, each round those farther than
// the last. On an H200, 64 maps of 1024 x 1024 with 1,000 points each, k = 3: 3.1 ms, 4 % of
// what a copy moves.
#include "cuda/neighbour_distance_map.h"

#include <algorithm>
#include <limits>

#include "cuda/point_sets.h"
#include "math/density_map.h"
#include "math/knn.h"

namespace fastcount::cuda {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kSlack = 1.0 + 1e-9;  // more than rounding can add to the bound
constexpr int kSide = 16;
constexpr int kThreads = kSide * kSide;
constexpr int kGroup = 8;  // threads whose least distance stands for them

struct CellGrid {
  std::int64_t height, width;  // pixels
  std::int64_t rows, cols, stride;

  __device__ double centre(std::int64_t cell) const {
    return static_cast<double>(cell) * static_cast<double>(stride) +
           0.5 * static_cast<double>(stride - 1);
  }
};

__device__ __forceinline__ double distance_to(double2 point, double x, double y,
                                              const CellGrid& grid) {
  const bool inside = inside_axis(point.x, grid.width) && inside_axis(point.y, grid.height);
  return inside ? squared_distance(point.x - x, point.y - y) : kInfinity;
}

// A squared distance from (x, y) beyond which no point matters to cells within `reach` of it.
__device__ __forceinline__ double bound_of(const double2* points, std::int64_t count,
                                           std::int64_t k, double x, double y, double reach,
                                           const CellGrid& grid) {
  __shared__ double least[kThreads];
  __shared__ double bound;
  const int thread = static_cast<int>(threadIdx.x);
  double mine = kInfinity;
  for (std::int64_t i = thread; i < count; i += kThreads) {
    mine = fmin(mine, distance_to(points[i], x, y, grid));
  }
  // Where few are wanted it is enough to rank the least of each eight threads.
  const bool few = k <= kThreads / kGroup;
  if (few) {
    for (int step = 1; step < kGroup; step *= 2) {
      mine = fmin(mine, __shfl_xor_sync(0xFFFFFFFFu, mine, step));
    }
    if (thread % kGroup == 0) least[thread / kGroup] = mine;
  } else {
    least[thread] = mine;
  }
  if (thread == 0) bound = kInfinity;
  __syncthreads();
  const int ranked = few ? kThreads / kGroup : kThreads;
  int rank = -1;  // no one
  if (thread < ranked) {
    mine = least[thread];
    rank = 0;
    for (int i = 0; i < ranked; ++i) {
      if (least[i] < mine || (least[i] == mine && i < thread)) ++rank;
    }
  }
  if (rank == k - 1) {
    const double far = (sqrt(mine) + 2.0 * reach) * kSlack;
    bound = far * far;
  }
  __syncthreads();
  return bound;
}

// The least kHeld distances above a floor, and how many lie on it.
template <int kHeld>
struct Nearest {
  double floor = -1.0;
  std::int64_t on_floor = 0;
  double best[kHeld];

  __device__ __forceinline__ void clear() {
    on_floor = 0;
#pragma unroll
    for (int j = 0; j < kHeld; ++j) best[j] = kInfinity;
  }

  __device__ __forceinline__ void offer(double squared) {
    if (squared == floor) ++on_floor;
    if (squared <= floor || !(squared < best[kHeld - 1])) return;
#pragma unroll
    for (int j = 0; j < kHeld; ++j) keep_smaller(best[j], squared);
  }
};

template <int kHeld>
__global__ void __launch_bounds__(kThreads)
    measure(const double2* points, SetTable table, std::int64_t k, CellGrid grid,
            std::int64_t tiles_across, double* maps) {
  __shared__ double2 near[kThreads];
  __shared__ int warp_counts[kThreads / 32];
  const int set = static_cast<int>(blockIdx.y);
  const double2* own = points + table.starts[set];
  const std::int64_t count = table.starts[set + 1] - table.starts[set];
  const std::int64_t first_row = blockIdx.x / tiles_across * kSide;
  const std::int64_t first_col = blockIdx.x % tiles_across * kSide;
  const std::int64_t row = first_row + threadIdx.x / kSide;
  const std::int64_t col = first_col + threadIdx.x % kSide;
  const double x = grid.centre(col);
  const double y = grid.centre(row);
  const double middle_x = 0.5 * (grid.centre(first_col) + grid.centre(first_col + kSide - 1));
  const double middle_y = 0.5 * (grid.centre(first_row) + grid.centre(first_row + kSide - 1));
  const double half = 0.5 * static_cast<double>((kSide - 1) * grid.stride);
  const double bound =
      bound_of(own, count, k, middle_x, middle_y, sqrt(squared_distance(half, half)), grid);

  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  Nearest<kHeld> nearest;
  double sum = 0.0;
  std::int64_t missing = k;
  bool more = true;
  while (__syncthreads_or(more)) {
    nearest.clear();
    for (std::int64_t start = 0; start < count; start += kThreads) {
      const std::int64_t i = start + threadIdx.x;
      const double2 point = i < count ? own[i] : make_double2(-1.0, -1.0);
      const double away = distance_to(point, middle_x, middle_y, grid);
      const bool close = i < count && away < kInfinity && away <= bound;
      const unsigned warp_close = __ballot_sync(0xFFFFFFFFu, close);
      if (lane == 0) warp_counts[warp] = __popc(warp_close);
      __syncthreads();
      int at = __popc(warp_close & ((1u << lane) - 1u));
      int held = 0;
      for (int other = 0; other < kThreads / 32; ++other) {
        if (other < warp) at += warp_counts[other];
        held += warp_counts[other];
      }
      if (close) near[at] = point;
      __syncthreads();
      for (int j = 0; j < held; ++j) {
        nearest.offer(squared_distance(near[j].x - x, near[j].y - y));
      }
      __syncthreads();
    }
    for (; nearest.on_floor > 0 && missing > 0; --nearest.on_floor, --missing) {
      sum += sqrt(nearest.floor);
    }
    // Of values equal to the greatest held there may be more: the next round counts them.
    const double last = nearest.best[kHeld - 1];
    const bool final = missing <= kHeld || last == kInfinity;
#pragma unroll
    for (int j = 0; j < kHeld; ++j) {
      const double squared = nearest.best[j];
      if (missing == 0 || squared == kInfinity || !(final || squared < last)) continue;
      sum += sqrt(squared);
      --missing;
    }
    nearest.floor = last;
    more = !final;
  }
  if (row >= grid.rows || col >= grid.cols) return;
  const std::int64_t found = k - missing;
  maps[((table.first_set + set) * grid.rows + row) * grid.cols + col] =
      found > 0 ? sum / static_cast<double>(found) : kInfinity;
}

}  // namespace

cudaError_t neighbour_distance_map(const double* points, const std::int64_t* offsets,
                                   std::int64_t sets, std::int64_t height, std::int64_t width,
                                   std::int64_t k, std::int64_t stride, double* map,
                                   cudaStream_t stream) {
  const auto* pairs = reinterpret_cast<const double2*>(points);
  const CellGrid grid{height, width, (height - 1) / stride + 1, (width - 1) / stride + 1, stride};
  const std::int64_t down = (grid.rows + kSide - 1) / kSide;
  const std::int64_t across = (grid.cols + kSide - 1) / kSide;
  return for_each_table(
      offsets, sets, cudaSuccess, [&](const SetTable& table, std::int64_t largest) -> cudaError_t {
        const dim3 blocks(blocks_across(down * across), static_cast<unsigned>(table.sets));
        const std::int64_t nearest = std::min(k, largest);
        if (nearest <= 4) {
          return LAUNCH((measure<4>), blocks, kThreads, 0, stream, pairs, table, k, grid, across,
                        map);
        }
        return LAUNCH((measure<16>), blocks, kThreads, 0, stream, pairs, table, k, grid, across,
                      map);
      });
}

}  // namespace fastcount::cuda
