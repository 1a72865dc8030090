// The order of listed peaks, and a sort of a few of them by one block.
#pragma once

#include <cstdint>
#include <limits>

#include "cuda/find_peaks.h"
#include "cuda/peak_key.h"

#if defined(FASTCOUNT_EMULATOR) || defined(__CUDACC__)

namespace fastcount::cuda {

constexpr int kSortedByBlock = 1024;  // records, in shared memory

// All records differ (map and index), so the order is one and the same every time.
__device__ __forceinline__ bool comes_first(const PeakRecord& a, const PeakRecord& b) {
  if (a.map != b.map) return a.map < b.map;
  if (a.key != b.key) return a.key > b.key;
  return a.index < b.index;
}

// Bitonic sort of the first `count` of kSortedByBlock records in shared memory; the whole block
// comes here, and waits for what was written to them.
template <int kThreads>
__device__ __forceinline__ void sort_by_block(PeakRecord* records, int count) {
  constexpr std::int32_t kNoMap = std::numeric_limits<std::int32_t>::max();
  int room = 2;
  while (room < count) room *= 2;
  for (int i = count + static_cast<int>(threadIdx.x); i < room; i += kThreads) {
    records[i] = {0, i, kNoMap};
  }
  for (int size = 2; size <= room; size *= 2) {
    for (int step = size / 2; step > 0; step /= 2) {
      // In steps below 32 a warp's records are its own; in step 16 another may have had them
      // before.
      if (step >= 16 || size == 2) {
        __syncthreads();
      } else {
        __syncwarp();
      }
      for (int i = static_cast<int>(threadIdx.x); i < room; i += kThreads) {
        const int other = i ^ step;
        if (other < i) continue;
        const bool rising = (i & size) == 0;
        const PeakRecord a = records[i];
        const PeakRecord b = records[other];
        if (comes_first(b, a) == rising) {
          records[i] = b;
          records[other] = a;
        }
      }
    }
  }
  __syncthreads();
}

template <typename T>
__device__ __forceinline__ void write_peak(const PeakRecord& peak, int width, float2* point,
                                           T* value) {
  *point =
      make_float2(static_cast<float>(peak.index % width), static_cast<float>(peak.index / width));
  *value = from_compute<T>(value_of_key<compute_t<T>>(static_cast<PeakKey<T>>(peak.key)));
}

}  // namespace fastcount::cuda

#endif
