// Floor: 4 HW / stride^2 bytes written in float32, 16 read a point; k distances, k square roots and
// a division a cell, in float64. Of the arithmetic a GPU with half as many float64 as float32 units
// takes longer than of the bytes.
//
// A block answers a tile of cells, each of its warps a patch of it. First the block bounds how far
// from the tile's middle a point can be and still be one of the k nearest of some cell: each eight
// of its 256 threads find the nearest of their share of the points; the k-th least of these (for k
// above 32 of each thread's own) is no less than the k-th nearest of all, and a cell is at most
// half a diagonal away from the middle. The points within the bound (few, unless there are few at
// all) go to shared memory, where each warp bounds them once more, around its patch's middle, and
// offers those that are left to its cells. Each cell keeps its nearest in registers: sorted values,
// so the order of work does not show. For n points a tile costs 2 n / 256 distances a thread.
//
// Up to 4 neighbours: tiles of 32 x 32 cells, four of a column to a lane, which share what they
// read. More: tiles of 8 x 32, and 16 neighbours at a time, each round those farther than the last.
//
// On an H200, 64 maps of 1024 x 1024 with 1,000 points each, k = 3, in an earlier form (tiles of
// 16 x 16 bounded once, one cell a lane, every candidate of the tile offered to it) that wrote
// float64, 8 bytes a cell: 3.1 ms, 4 % of what a copy moves. Not measured on a GPU since.
#include "cuda/neighbour_distance_map.h"

#include <algorithm>
#include <limits>

#include "cuda/point_sets.h"
#include "math/density_map.h"
#include "math/knn.h"

namespace fastcount::cuda {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kSlack = 1.0 + 1e-6;  // more than rounding to float32 can take from a bound
constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kWarpsAcross = 2;
constexpr int kPatchCols = 16;
constexpr int kTileCols = kPatchCols * kWarpsAcross;
constexpr int kGroup = 8;    // threads whose least distance stands for them
constexpr int kSpan = 1024;  // points of which the near ones are listed together
constexpr unsigned kAllLanes = 0xFFFFFFFFu;

struct CellGrid {
  std::int64_t height, width;  // pixels
  std::int64_t rows, cols, stride;

  __device__ double centre(std::int64_t cell) const {
    return static_cast<double>(cell) * static_cast<double>(stride) +
           0.5 * static_cast<double>(stride - 1);
  }
};

// Some cells: their middle, and how far the outermost one's centre is from it.
struct Area {
  double x, y, reach;

  __device__ static Area of_cells(const CellGrid& grid, std::int64_t first_row,
                                  std::int64_t first_col, int rows, int cols) {
    const double down = grid.centre(first_row + rows - 1) - grid.centre(first_row);
    const double across = grid.centre(first_col + cols - 1) - grid.centre(first_col);
    return {grid.centre(first_col) + 0.5 * across, grid.centre(first_row) + 0.5 * down,
            0.5 * sqrt(squared_distance(across, down))};
  }

  __device__ double squared_from(double2 point) const {
    return squared_distance(point.x - x, point.y - y);
  }
};

// Numbers that are not negative, as float32, compare like their bits.
__device__ __forceinline__ unsigned ordered_bits(double squared) {
  return __float_as_uint(static_cast<float>(squared));
}

// A squared distance from the middle of `area` beyond which no point is among the k nearest of one
// of its cells. count_within(bits) says how many of some squared distances from the middle have
// `ordered_bits` up to that. The k-th least of them is found to five binary digits, from the top.
template <typename Count>
__device__ __forceinline__ double bound_around(const Area& area, std::int64_t k,
                                               Count&& count_within) {
  constexpr int kLastBit = 18;
  unsigned least = 0;
  for (int bit = 30; bit >= kLastBit; --bit) {
    if (count_within(least | ((1u << bit) - 1u)) < k) least |= 1u << bit;
  }
  least |= (1u << kLastBit) - 1u;
  if (least >= ordered_bits(kInfinity)) return kInfinity;  // there are fewer than k
  const double far =
      (sqrt(static_cast<double>(__uint_as_float(least))) + 2.0 * area.reach) * kSlack;
  return far * far;
}

// What a block and its warp look for.
struct Search {
  const double2* points;  // of the set
  std::int64_t count, k;
  CellGrid grid;
  Area tile, patch;

  __device__ double squared_from_tile(double2 point) const {
    const bool inside = inside_axis(point.x, grid.width) && inside_axis(point.y, grid.height);
    return inside ? tile.squared_from(point) : kInfinity;
  }
};

__device__ __forceinline__ double bound_of_tile(const Search& search) {
  __shared__ unsigned least[kThreads / kGroup];
  const auto thread = static_cast<int>(threadIdx.x);
  double nearest = kInfinity;
  for (std::int64_t i = thread; i < search.count; i += kThreads) {
    nearest = fmin(nearest, search.squared_from_tile(search.points[i]));
  }
  unsigned own = ordered_bits(nearest);
  if (search.k > kThreads / kGroup) {
    return bound_around(search.tile, search.k,
                        [own](unsigned most) { return __syncthreads_count(own <= most); });
  }
  for (int step = 1; step < kGroup; step *= 2) {
    own = min(own, __shfl_xor_sync(kAllLanes, own, step));
  }
  if (thread % kGroup == 0) least[thread / kGroup] = own;
  __syncthreads();
  own = least[thread % 32];
  return bound_around(search.tile, search.k, [own](unsigned most) {
    return __popc(__ballot_sync(kAllLanes, own <= most));
  });
}

// Calls offer(point) for all points that can be among the k nearest of a cell of the warp's patch,
// and for few others. All threads of the block come here.
template <typename Offer>
__device__ __forceinline__ void offer_near(const Search& search, double bound, Offer&& offer) {
  __shared__ double2 near[kSpan];
  __shared__ int held;
  const auto thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  double patch_bound = kInfinity;
  for (std::int64_t start = 0; start < search.count; start += kSpan) {
    if (thread == 0) held = 0;
    __syncthreads();
    const std::int64_t end = min(start + kSpan, search.count);
    for (std::int64_t first = start; first < end; first += kThreads) {
      const std::int64_t i = first + thread;
      const double2 point = i < end ? search.points[i] : make_double2(-1.0, -1.0);
      const double away = search.squared_from_tile(point);
      const bool close = away < kInfinity && away <= bound;
      const unsigned votes = __ballot_sync(kAllLanes, close);
      int place = 0;
      if (lane == 0 && votes != 0) place = atomicAdd(&held, __popc(votes));
      place = __shfl_sync(kAllLanes, place, 0) + __popc(votes & ((1u << lane) - 1u));
      if (close) near[place] = point;
    }
    __syncthreads();

    unsigned own = ordered_bits(kInfinity);
    for (int j = lane; j < held; j += 32) {
      own = min(own, ordered_bits(search.patch.squared_from(near[j])));
    }
    patch_bound = fmin(patch_bound, bound_around(search.patch, search.k, [own](unsigned most) {
                         return __popc(__ballot_sync(kAllLanes, own <= most));
                       }));
    for (int first = 0; first < held; first += 32) {
      const int j = first + lane;
      const bool close = j < held && search.patch.squared_from(near[j]) <= patch_bound;
      for (unsigned left = __ballot_sync(kAllLanes, close); left != 0; left &= left - 1) {
        offer(near[first + __ffs(static_cast<int>(left)) - 1]);
      }
    }
    __syncthreads();
  }
}

// Where a thread's cells are: kRows of a column, the first of them at (row, col).
template <int kRows>
struct Place {
  Search search;
  std::int64_t set, row, col;

  static constexpr int kPatchRows = 32 / kPatchCols * kRows;
  static constexpr int kTileRows = kPatchRows * kWarps / kWarpsAcross;

  __device__ static Place of_thread(const double2* points, const SetTable& table, std::int64_t k,
                                    const CellGrid& grid) {
    const auto thread = static_cast<int>(threadIdx.x);
    const int lane = thread % 32;
    const int warp = thread / 32;
    const auto across = static_cast<unsigned>((grid.cols + kTileCols - 1) / kTileCols);
    const std::int64_t tile_row = std::int64_t{blockIdx.x / across} * kTileRows;
    const std::int64_t tile_col = std::int64_t{blockIdx.x % across} * kTileCols;
    const std::int64_t patch_row = tile_row + warp / kWarpsAcross * kPatchRows;
    const std::int64_t patch_col = tile_col + warp % kWarpsAcross * kPatchCols;
    const auto set = static_cast<int>(blockIdx.y);
    return {{points + table.starts[set], table.starts[set + 1] - table.starts[set], k, grid,
             Area::of_cells(grid, tile_row, tile_col, kTileRows, kTileCols),
             Area::of_cells(grid, patch_row, patch_col, kPatchRows, kPatchCols)},
            table.first_set + set,
            patch_row + lane / kPatchCols * kRows,
            patch_col + lane % kPatchCols};
  }

  template <typename T>
  __device__ void write(int r, double sum, std::int64_t found, T* maps) const {
    const CellGrid& grid = search.grid;
    if (row + r >= grid.rows || col >= grid.cols) return;
    maps[(set * grid.rows + row + r) * grid.cols + col] =
        static_cast<T>(found > 0 ? sum / static_cast<double>(found) : kInfinity);
  }
};

// The k = kHeld nearest of each cell.
template <int kHeld, typename T>
__global__ void __launch_bounds__(kThreads)
    measure_few(const double2* points, SetTable table, CellGrid grid, T* maps) {
  constexpr int kRows = 4;
  const auto place = Place<kRows>::of_thread(points, table, kHeld, grid);
  const double x = grid.centre(place.col);
  double y[kRows];
  double best[kRows][kHeld];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    y[r] = grid.centre(place.row + r);
#pragma unroll
    for (int j = 0; j < kHeld; ++j) best[r][j] = kInfinity;
  }
  offer_near(place.search, bound_of_tile(place.search), [&](double2 point) {
    const double dx = point.x - x;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      double squared = squared_distance(dx, point.y - y[r]);
#pragma unroll
      for (int j = 0; j < kHeld; ++j) keep_smaller(best[r][j], squared);
    }
  });
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    double sum = 0.0;
    int found = 0;
#pragma unroll
    for (int j = 0; j < kHeld; ++j) {
      if (best[r][j] == kInfinity) continue;
      sum += sqrt(best[r][j]);
      ++found;
    }
    place.write(r, sum, found, maps);
  }
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

template <typename T>
__global__ void __launch_bounds__(kThreads)
    measure_many(const double2* points, SetTable table, std::int64_t k, CellGrid grid, T* maps) {
  constexpr int kHeld = 16;
  const auto place = Place<1>::of_thread(points, table, k, grid);
  const double x = grid.centre(place.col);
  const double y = grid.centre(place.row);
  const double bound = bound_of_tile(place.search);
  Nearest<kHeld> nearest;
  double sum = 0.0;
  std::int64_t missing = k;
  bool more = true;
  while (__syncthreads_or(more)) {
    nearest.clear();
    offer_near(place.search, bound,
               [&](double2 point) { nearest.offer(squared_distance(point.x - x, point.y - y)); });
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
  place.write(0, sum, k - missing, maps);
}

template <int kHeld, typename T>
cudaError_t launch_few(const double2* points, const SetTable& table, const CellGrid& grid,
                       dim3 blocks, T* map, cudaStream_t stream) {
  return LAUNCH((measure_few<kHeld, T>), blocks, kThreads, 0, stream, points, table, grid, map);
}

}  // namespace

template <typename T>
cudaError_t neighbour_distance_map(const double* points, const std::int64_t* offsets,
                                   std::int64_t sets, std::int64_t height, std::int64_t width,
                                   std::int64_t k, std::int64_t stride, T* map,
                                   cudaStream_t stream) {
  const auto* pairs = reinterpret_cast<const double2*>(points);
  const CellGrid grid{height, width, (height - 1) / stride + 1, (width - 1) / stride + 1, stride};
  const std::int64_t across = (grid.cols + kTileCols - 1) / kTileCols;
  const auto blocks = [&](int rows, const SetTable& table) {
    const std::int64_t down = (grid.rows + rows - 1) / rows;
    return dim3(blocks_across(down * across), static_cast<unsigned>(table.sets));
  };
  return for_each_table(offsets, sets, cudaSuccess,
                        [&](const SetTable& table, std::int64_t largest) -> cudaError_t {
                          const dim3 few = blocks(Place<4>::kTileRows, table);
                          // Where a set has fewer points they are all found, and asking for more
                          // finds no others.
                          switch (std::min(k, std::max<std::int64_t>(largest, 1))) {
                            case 1:
                              return launch_few<1>(pairs, table, grid, few, map, stream);
                            case 2:
                              return launch_few<2>(pairs, table, grid, few, map, stream);
                            case 3:
                              return launch_few<3>(pairs, table, grid, few, map, stream);
                            case 4:
                              return launch_few<4>(pairs, table, grid, few, map, stream);
                            default:
                              return LAUNCH((measure_many<T>), blocks(Place<1>::kTileRows, table),
                                            kThreads, 0, stream, pairs, table, k, grid, map);
                          }
                        });
}

#define FASTCOUNT_INSTANTIATE(T)                                                                   \
  template cudaError_t neighbour_distance_map<T>(const double*, const std::int64_t*, std::int64_t, \
                                                 std::int64_t, std::int64_t, std::int64_t,         \
                                                 std::int64_t, T*, cudaStream_t);
FASTCOUNT_INSTANTIATE(float)
FASTCOUNT_INSTANTIATE(double)

}  // namespace fastcount::cuda
