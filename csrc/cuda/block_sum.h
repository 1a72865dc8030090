// Sums over a block in a fixed order: the same bits every run.
#pragma once

#include "cuda/launch.h"

namespace fastcount::cuda {

// Two sums that travel together. A count is exact in a double up to 2^53.
struct SumPair {
  double first;
  double second;
};

#if defined(FASTCOUNT_EMULATOR) || defined(__CUDACC__)

// Adds up over a block of kThreads threads (a multiple of 32, at most 1024), all of which must
// come here; the result is thread 0's. A block may do this once.
template <int kThreads>
__device__ __forceinline__ SumPair block_sum(SumPair mine) {
  constexpr int kWarps = kThreads / 32;
  __shared__ SumPair of_warp[kWarps];
  for (int step = 16; step > 0; step /= 2) {
    mine.first += __shfl_down_sync(0xFFFFFFFFu, mine.first, step);
    mine.second += __shfl_down_sync(0xFFFFFFFFu, mine.second, step);
  }
  const int thread = static_cast<int>(threadIdx.x);
  if (thread % 32 == 0) of_warp[thread / 32] = mine;
  __syncthreads();
  if (thread == 0) {
    for (int warp = 1; warp < kWarps; ++warp) {
      mine.first += of_warp[warp].first;
      mine.second += of_warp[warp].second;
    }
  }
  return mine;
}

#endif

}  // namespace fastcount::cuda
