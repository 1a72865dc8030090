// Floor: 16 bytes read and 8 written a point; n^2 squared distances (3 operations in float64) and
// comparisons for a set of n points. Every pair is tried, which needs no structure to build: at the
// largest pictures' 13,000 points that is 0.7 G operations in all.
//
// A block answers 32 queries with 8 lanes each. Candidates come through shared memory; each lane
// keeps its k nearest in registers and the lanes' lists are merged by shuffles. What is kept is
// the sorted list of the k smallest values, so the order of work does not show in the result. On
// an H200, 12,865 points, k = 4: 0.241 ms.
#include "cuda/knn_distance.h"

#include <cmath>
#include <limits>

#include "cuda/point_sets.h"
#include "math/knn.h"

namespace fastcount::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kSplit = 8;  // lanes a query
constexpr int kQueries = kThreads / kSplit;
constexpr std::int64_t kMostInRegisters = 16;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <int kHeld>
__device__ __forceinline__ void offer(double (&best)[kHeld], double squared) {
  if (!(squared < best[kHeld - 1])) return;
#pragma unroll
  for (int j = 0; j < kHeld; ++j) keep_smaller(best[j], squared);
}

// kHeld >= k nearest in registers.
template <int kHeld>
__global__ void __launch_bounds__(kThreads)
    knn_in_registers(const double2* points, SetTable table, std::int64_t k, double* distance) {
  __shared__ double2 tile[kThreads];
  const int set = static_cast<int>(blockIdx.y);
  const std::int64_t count = table.starts[set + 1] - table.starts[set];
  const double2* others = points + table.starts[set];
  if (static_cast<std::int64_t>(blockIdx.x) * kQueries >= count) return;

  const int part = static_cast<int>(threadIdx.x) % kSplit;
  const std::int64_t query =
      static_cast<std::int64_t>(blockIdx.x) * kQueries + threadIdx.x / kSplit;
  const double2 here = others[query < count ? query : count - 1];
  double best[kHeld];
#pragma unroll
  for (int j = 0; j < kHeld; ++j) best[j] = kInfinity;

  for (std::int64_t start = 0; start < count; start += kThreads) {
    const int held = static_cast<int>(min(count - start, static_cast<std::int64_t>(kThreads)));
    if (static_cast<int>(threadIdx.x) < held) tile[threadIdx.x] = others[start + threadIdx.x];
    __syncthreads();
    for (int i = part; i < held; i += kSplit) {
      if (start + i == query) continue;
      offer(best, squared_distance(tile[i].x - here.x, tile[i].y - here.y));
    }
    __syncthreads();
  }

  // After each step every lane of a pair holds the nearest of both.
  for (int step = 1; step < kSplit; step *= 2) {
    double theirs[kHeld];
#pragma unroll
    for (int j = 0; j < kHeld; ++j) theirs[j] = __shfl_xor_sync(0xFFFFFFFFu, best[j], step);
#pragma unroll
    for (int j = 0; j < kHeld; ++j) offer(best, theirs[j]);
  }
  if (part != 0 || query >= count) return;
  const std::int64_t nearest = min(k, count - 1);
  double sum = 0.0;
#pragma unroll
  for (int j = 0; j < kHeld; ++j) {
    if (j < nearest) sum += sqrt(best[j]);
  }
  distance[table.starts[set] + query] =
      nearest > 0 ? sum / static_cast<double>(nearest) : kInfinity;
}

// Any k: one thread a query, its list in global memory, entry j of point p at lists[j * total + p].
__global__ void __launch_bounds__(kThreads)
    knn_in_memory(const double2* points, SetTable table, std::int64_t k, std::int64_t total,
                  double* lists, double* distance) {
  __shared__ double2 tile[kThreads];
  const int set = static_cast<int>(blockIdx.y);
  const std::int64_t count = table.starts[set + 1] - table.starts[set];
  const double2* others = points + table.starts[set];
  if (static_cast<std::int64_t>(blockIdx.x) * kThreads >= count) return;

  const std::int64_t query = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const bool asks = query < count;
  const double2 here = others[asks ? query : count - 1];
  const std::int64_t nearest = min(k, count - 1);
  double* list = lists + table.starts[set] + (asks ? query : count - 1);
  std::int64_t filled = 0;
  for (std::int64_t start = 0; start < count; start += kThreads) {
    const int held = static_cast<int>(min(count - start, static_cast<std::int64_t>(kThreads)));
    if (static_cast<int>(threadIdx.x) < held) tile[threadIdx.x] = others[start + threadIdx.x];
    __syncthreads();
    for (int i = 0; asks && i < held; ++i) {
      if (start + i == query) continue;
      const double squared = squared_distance(tile[i].x - here.x, tile[i].y - here.y);
      const bool full = filled == nearest;
      if (full && !(squared < list[(nearest - 1) * total])) continue;
      std::int64_t j = full ? nearest - 1 : filled++;
      for (; j > 0 && list[(j - 1) * total] > squared; --j) list[j * total] = list[(j - 1) * total];
      list[j * total] = squared;
    }
    __syncthreads();
  }
  if (!asks) return;
  double sum = 0.0;
  for (std::int64_t j = 0; j < nearest; ++j) sum += sqrt(list[j * total]);
  distance[table.starts[set] + query] =
      nearest > 0 ? sum / static_cast<double>(nearest) : kInfinity;
}

dim3 grid_of(std::int64_t largest, int queries, int sets) {
  return dim3(blocks_across(largest, queries), static_cast<unsigned>(sets));
}

}  // namespace

std::int64_t knn_distance_scratch(std::int64_t points, std::int64_t k) {
  return k <= kMostInRegisters || points <= kMostInRegisters + 1 ? 0
                                                                 : points * std::min(k, points - 1);
}

cudaError_t knn_distance(const double* points, const std::int64_t* offsets, std::int64_t sets,
                         std::int64_t k, double* scratch, double* distance, cudaStream_t stream) {
  const auto* pairs = reinterpret_cast<const double2*>(points);
  const std::int64_t total = offsets[sets];
  return for_each_table(
      offsets, sets, cudaSuccess, [&](const SetTable& table, std::int64_t largest) -> cudaError_t {
        if (largest == 0) return cudaSuccess;
        const dim3 grid = grid_of(largest, kQueries, table.sets);
        const std::int64_t nearest = std::min(k, std::max<std::int64_t>(largest - 1, 1));
        if (nearest <= 4) {
          return LAUNCH((knn_in_registers<4>), grid, kThreads, 0, stream, pairs, table, k,
                        distance);
        }
        if (nearest <= 8) {
          return LAUNCH((knn_in_registers<8>), grid, kThreads, 0, stream, pairs, table, k,
                        distance);
        }
        if (nearest <= kMostInRegisters) {
          return LAUNCH((knn_in_registers<kMostInRegisters>), grid, kThreads, 0, stream, pairs,
                        table, k, distance);
        }
        return LAUNCH(knn_in_memory, grid_of(largest, kThreads, table.sets), kThreads, 0, stream,
                      pairs, table, k, total, scratch, distance);
      });
}

}  // namespace fastcount::cuda
