// Listing and sorting the marked peaks.
//
// Floor: HW / 8 bytes of marks read, 16 written for each of M peaks. Sorting adds 32 M bytes for
// each of 1 + log2(M / 1024) passes: chunks of 1024 in shared memory, then pairs of runs merged, in
// which every record finds its place by binary search in the other run.
// Not yet measured on a GPU.
#include <algorithm>

#include "cuda/find_peaks.h"
#include "cuda/peak_sort.h"

namespace fastcount::cuda {
namespace {

constexpr int kThreads = 256;
// The list is mostly far shorter than the room for it, so a merge is not worth a block for every
// 256 places: so many blocks walk along the list.
constexpr std::int64_t kMergeBlocks = 2048;

// Each block writes the peaks of one segment of marks, in reading order.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    collect(const T* scores, int height, int width, bool smooth, int row_words, int segments,
            const std::uint32_t* bits, const std::int64_t* starts, std::int64_t capacity,
            PeakRecord* peaks) {
  __shared__ int warps[kThreads / 32];
  const std::int64_t start = starts[blockIdx.x];
  if (starts[blockIdx.x + 1] == start) return;
  const std::int64_t map_number = blockIdx.x / segments;
  const std::int64_t map_words = static_cast<std::int64_t>(height) * row_words;
  constexpr int kWords = PeakMaps::kSegment / kThreads;  // of a thread
  const std::int64_t first =
      blockIdx.x % segments * PeakMaps::kSegment + static_cast<std::int64_t>(threadIdx.x) * kWords;
  std::uint32_t words[kWords];
  int mine = 0;
#pragma unroll
  for (int i = 0; i < kWords; ++i) {
    words[i] = first + i < map_words ? bits[map_number * map_words + first + i] : 0;
    mine += __popc(words[i]);
  }
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int sum = mine;
  for (int step = 1; step < 32; step *= 2) {
    const int lower = __shfl_up_sync(0xFFFFFFFFu, sum, step);
    if (lane >= step) sum += lower;
  }
  if (lane == 31) warps[threadIdx.x / 32] = sum;
  __syncthreads();
  std::int64_t to = start + sum - mine;
  for (int warp = 0; warp < static_cast<int>(threadIdx.x) / 32; ++warp) to += warps[warp];

  const T* map = scores + map_number * height * width;
  for (int i = 0; i < kWords; ++i) {
    if (words[i] == 0) continue;
    const auto word = static_cast<std::uint32_t>(first + i);  // a map has fewer than 2^31
    const auto y = static_cast<std::int64_t>(word / static_cast<std::uint32_t>(row_words));
    const auto left_x =
        static_cast<std::int64_t>(word % static_cast<std::uint32_t>(row_words)) * 32;
    for (std::uint32_t left = words[i]; left != 0; left &= left - 1) {
      const std::int64_t x = left_x + __ffs(static_cast<int>(left)) - 1;
      const auto key = peak_key<T>(map, height, width, smooth, absent_key<PeakKey<T>>(), y, x);
      if (to < capacity) {
        peaks[to] = {key, static_cast<std::int32_t>(y * width + x),
                     static_cast<std::int32_t>(map_number)};
      }
      ++to;
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    sort_chunks(const std::int64_t* total, PeakRecord* peaks) {
  __shared__ PeakRecord chunk[kSortedByBlock];
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kSortedByBlock;
  const std::int64_t left = *total - first;  // far below 0 where there is room for many more
  if (left <= 1) return;
  const auto count = static_cast<int>(min(left, std::int64_t{kSortedByBlock}));
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) chunk[i] = peaks[first + i];
  sort_by_block<kThreads>(chunk, count);
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) peaks[first + i] = chunk[i];
}

// How many of the sorted records `low` .. `high` - 1 come before `mine`.
__device__ __forceinline__ std::int64_t rank_among(const PeakRecord* sorted, std::int64_t low,
                                                   std::int64_t high, const PeakRecord& mine) {
  const std::int64_t begin = low;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (comes_first(sorted[middle], mine)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low - begin;
}

// Merges runs of `run` records in pairs.
__global__ void __launch_bounds__(kThreads) merge_runs(const std::int64_t* total, std::int64_t run,
                                                       const PeakRecord* from, PeakRecord* to) {
  const std::int64_t count = *total;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count;
       i += step) {
    const PeakRecord mine = from[i];
    const std::int64_t pair = i / (2 * run) * (2 * run);
    const bool upper = i - pair >= run;
    const std::int64_t own = upper ? pair + run : pair;
    const std::int64_t other = upper ? pair : pair + run;
    const std::int64_t before = rank_among(from, min(other, count), min(other + run, count), mine);
    to[pair + (i - own) + before] = mine;
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    write(const PeakRecord* sorted, int width, std::int64_t maps, int segments,
          const std::int64_t* starts, const std::int64_t* kept_starts, std::int64_t channels,
          float2* points, T* values, std::int64_t* batch, std::int64_t* channel) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= starts[maps * segments]) return;
  const PeakRecord peak = sorted[i];
  const std::int64_t place = i - starts[static_cast<std::int64_t>(peak.map) * segments];
  const std::int64_t to = kept_starts[peak.map] + place;
  if (to >= kept_starts[peak.map + 1]) return;
  write_peak(peak, width, points + to, values + to);
  batch[to] = peak.map / channels;
  channel[to] = peak.map % channels;
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    pad(const PeakRecord* sorted, int width, std::int64_t maps, int segments,
        const std::int64_t* starts, const std::int64_t* kept_starts, std::int64_t slots,
        float2* points, T* values, std::int64_t* valid) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= maps * slots) return;
  const std::int64_t map = i / slots;
  const std::int64_t slot = i % slots;
  const std::int64_t kept = kept_starts[map + 1] - kept_starts[map];
  if (slot == 0) valid[map] = kept;
  if (slot < kept) {
    write_peak(sorted[starts[map * segments] + slot], width, points + i, values + i);
  } else {
    points[i] = make_float2(-1.0f, -1.0f);
    values[i] = from_compute<T>(0);
  }
}

}  // namespace

cudaError_t collect_peaks(const PeakMaps& maps, const std::uint32_t* bits,
                          const std::int64_t* starts, std::int64_t capacity, PeakRecord* peaks,
                          cudaStream_t stream) {
  if (capacity == 0) return cudaSuccess;
  const std::int64_t segments = maps.segments();
  return visit_number(maps.number, [&](auto zero) -> cudaError_t {
    using T = decltype(zero);
    return LAUNCH(collect<T>, blocks_across(maps.maps * segments), kThreads, 0, stream,
                  static_cast<const T*>(maps.scores), static_cast<int>(maps.height),
                  static_cast<int>(maps.width), maps.smooth, static_cast<int>(maps.row_words()),
                  static_cast<int>(segments), bits, starts, capacity, peaks);
  });
}

cudaError_t list_peaks(const PeakMaps& maps, const std::uint32_t* bits, const std::int64_t* starts,
                       std::int64_t capacity, PeakRecord* peaks, PeakRecord* spare,
                       const PeakRecord** sorted, cudaStream_t stream) {
  *sorted = peaks;
  if (capacity == 0) return cudaSuccess;
  const std::int64_t* total = starts + maps.maps * maps.segments();
  cudaError_t error = collect_peaks(maps, bits, starts, capacity, peaks, stream);
  if (error != cudaSuccess) return error;
  error = LAUNCH(sort_chunks, blocks_across(capacity, kSortedByBlock), kThreads, 0, stream, total,
                 peaks);
  for (std::int64_t run = kSortedByBlock; error == cudaSuccess && run < capacity; run *= 2) {
    const unsigned blocks = blocks_across(std::min(capacity, kMergeBlocks * kThreads), kThreads);
    error = LAUNCH(merge_runs, blocks, kThreads, 0, stream, total, run, peaks, spare);
    std::swap(peaks, spare);
  }
  *sorted = peaks;
  return error;
}

cudaError_t write_peaks(const PeakMaps& maps, const PeakRecord* sorted, std::int64_t capacity,
                        const std::int64_t* starts, const std::int64_t* kept_starts,
                        std::int64_t channels, float* points, void* values, std::int64_t* batch,
                        std::int64_t* channel, cudaStream_t stream) {
  if (capacity == 0) return cudaSuccess;
  return visit_number(maps.number, [&](auto zero) -> cudaError_t {
    using T = decltype(zero);
    return LAUNCH(write<T>, blocks_across(capacity, kThreads), kThreads, 0, stream, sorted,
                  static_cast<int>(maps.width), maps.maps, static_cast<int>(maps.segments()),
                  starts, kept_starts, channels, reinterpret_cast<float2*>(points),
                  static_cast<T*>(values), batch, channel);
  });
}

cudaError_t pad_peaks(const PeakMaps& maps, const PeakRecord* sorted, const std::int64_t* starts,
                      const std::int64_t* kept_starts, std::int64_t slots, float* points,
                      void* values, std::int64_t* valid, cudaStream_t stream) {
  return visit_number(maps.number, [&](auto zero) -> cudaError_t {
    using T = decltype(zero);
    return LAUNCH(pad<T>, blocks_across(maps.maps * slots, kThreads), kThreads, 0, stream, sorted,
                  static_cast<int>(maps.width), maps.maps, static_cast<int>(maps.segments()),
                  starts, kept_starts, slots, reinterpret_cast<float2*>(points),
                  static_cast<T*>(values), valid);
  });
}

}  // namespace fastcount::cuda
