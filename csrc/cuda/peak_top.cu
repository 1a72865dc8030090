// The highest peaks of each map, sorted, in a fixed number of places.
//
// Floor: 16 bytes read for each listed peak of a map and as often again as the key has digits of 8
// bits (4 in float32) where there are more than 1024; 12 bytes written a place.
//
// One block a map. The least key that is kept is found digit by digit from the top: how many
// keys that agree so far have each next digit is counted in shared memory (whole numbers, so the
// order of counting does not show). Of peaks with just that key the first in reading order are
// kept. What is kept is sorted in shared memory. On an H200, 64 maps with 116,000 peaks each,
// marking and listing included: 1.16 ms (measured with one record in flight a thread and a barrier
// for every step of the sort; not since).
#include <algorithm>

#include "cuda/find_peaks.h"
#include "cuda/peak_sort.h"

namespace fastcount::cuda {
namespace {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / 32;
constexpr int kInFlight = 4;  // records that a thread reads before it counts the first
constexpr int kDigit = 8;
constexpr int kDigits = 1 << kDigit;
static_assert(kMostTop <= kSortedByBlock);

template <typename T>
__device__ __forceinline__ std::uint64_t height_of_peak(const PeakRecord& peak) {
  return height_of(static_cast<PeakKey<T>>(peak.key));
}

// The key that the wanted-th highest of the peaks has.
struct Cut {
  std::uint64_t height;
  int of_it;  // how many with just that key are wanted
  bool all;   // as many as there are
};

template <typename T>
__device__ Cut find_cut(const PeakRecord* peaks, std::int64_t count, int wanted) {
  __shared__ int digits[kDigits];
  __shared__ std::uint64_t height;
  __shared__ int rank;
  __shared__ int equal;
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    height = 0;
    rank = wanted;
  }
  for (int shift = 8 * static_cast<int>(sizeof(PeakKey<T>)) - kDigit; shift >= 0; shift -= kDigit) {
    if (thread < kDigits) digits[thread] = 0;
    __syncthreads();
    const std::uint64_t same = height >> shift >> kDigit;
    for (std::int64_t first = thread; first < count; first += kInFlight * kThreads) {
      PeakRecord read[kInFlight];
#pragma unroll
      for (int k = 0; k < kInFlight; ++k) {
        const std::int64_t i = first + k * kThreads;
        read[k] = peaks[i < count ? i : first];
      }
#pragma unroll
      for (int k = 0; k < kInFlight; ++k) {
        const std::uint64_t own = height_of_peak<T>(read[k]);
        const bool agrees = first + k * kThreads < count && own >> shift >> kDigit == same;
        if (agrees) atomicAdd(&digits[own >> shift & (kDigits - 1)], 1);
      }
    }
    __syncthreads();
    int higher = 0;
    if (thread < kDigits) {
      for (int digit = thread + 1; digit < kDigits; ++digit) higher += digits[digit];
    }
    const int before = rank;
    __syncthreads();
    if (thread < kDigits && before > higher && before <= higher + digits[thread]) {
      height |= static_cast<std::uint64_t>(thread) << shift;
      rank = before - higher;
      equal = digits[thread];
    }
    __syncthreads();
  }
  return {height, rank, rank == equal};
}

// Copies the peaks above the cut and the first of those on it, as many as were wanted, in any
// order.
template <typename T>
__device__ void take_above(const PeakRecord* peaks, std::int64_t count, const Cut& cut,
                           PeakRecord* taken) {
  __shared__ int number;
  __shared__ int on_cut[2][kWarps];
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  if (thread == 0) number = 0;
  __syncthreads();
  if (cut.all) {
    for (std::int64_t i = thread; i < count; i += kThreads) {
      const PeakRecord peak = peaks[i];
      if (height_of_peak<T>(peak) >= cut.height) taken[atomicAdd(&number, 1)] = peak;
    }
    return;
  }
  int passed = 0;  // of those on the cut
  int turn = 0;
  for (std::int64_t first = 0; first < count; first += kThreads, turn ^= 1) {
    const std::int64_t i = first + thread;
    PeakRecord peak{};
    bool above = false;
    bool on = false;
    if (i < count) {
      peak = peaks[i];
      above = height_of_peak<T>(peak) > cut.height;
      on = height_of_peak<T>(peak) == cut.height;
    }
    const unsigned votes = __ballot_sync(0xFFFFFFFFu, on);
    if (lane == 0) on_cut[turn][thread / 32] = __popc(votes);
    __syncthreads();
    int place = passed + __popc(votes & ((1u << lane) - 1u));
    for (int warp = 0; warp < kWarps; ++warp) {
      if (warp < thread / 32) place += on_cut[turn][warp];
      passed += on_cut[turn][warp];
    }
    if (above || (on && place < cut.of_it)) taken[atomicAdd(&number, 1)] = peak;
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    top_of_map(const PeakRecord* listed, const std::int64_t* starts, int segments, int width,
               int slots, float2* points, T* values, std::int64_t* valid) {
  __shared__ PeakRecord taken[kSortedByBlock];
  const int thread = static_cast<int>(threadIdx.x);
  const std::int64_t map = blockIdx.x;
  const std::int64_t start = starts[map * segments];
  const std::int64_t count = starts[(map + 1) * segments] - start;
  const PeakRecord* peaks = listed + start;
  int held = static_cast<int>(min(count, static_cast<std::int64_t>(kSortedByBlock)));
  if (count > kSortedByBlock) {
    held = slots;
    take_above<T>(peaks, count, find_cut<T>(peaks, count, slots), taken);
  } else {
    for (int i = thread; i < held; i += kThreads) taken[i] = peaks[i];
  }
  sort_by_block<kThreads>(taken, held);
  const int kept = min(held, slots);
  if (thread == 0) valid[map] = kept;
  for (int i = thread; i < slots; i += kThreads) {
    const std::int64_t to = map * slots + i;
    if (i < kept) {
      write_peak(taken[i], width, points + to, values + to);
    } else {
      points[to] = make_float2(-1.0f, -1.0f);
      values[to] = from_compute<T>(0);
    }
  }
}

}  // namespace

cudaError_t top_peaks(const PeakMaps& maps, const PeakRecord* listed, const std::int64_t* starts,
                      std::int64_t slots, float* points, void* values, std::int64_t* valid,
                      cudaStream_t stream) {
  return visit_number(maps.number, [&](auto zero) -> cudaError_t {
    using T = decltype(zero);
    return LAUNCH(top_of_map<T>, blocks_across(maps.maps), kThreads, 0, stream, listed, starts,
                  static_cast<int>(maps.segments()), static_cast<int>(maps.width),
                  static_cast<int>(slots), reinterpret_cast<float2*>(points),
                  static_cast<T*>(values), valid);
  });
}

}  // namespace fastcount::cuda
