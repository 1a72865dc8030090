// The weighted smooth L1 on a GPU.
//
// Launches only: nothing waits, nothing is added atomically, a CUDA graph can hold all of it.
#pragma once

#include <cstdint>

#include "cuda/block_sum.h"
#include "cuda/number.h"

namespace fastcount::cuda {

// Every pointer on 16 bytes. "Computed" means double for a double prediction, else float.
struct SmoothL1Maps {
  const void* pred;
  Number number;       // of pred
  const void* target;  // computed type
  std::int64_t count;
  double weight;  // of pixels whose target is 0; the others have 1 - weight
};

// Pairs of scratch memory that smooth_l1 needs.
std::int64_t smooth_l1_scratch(std::int64_t count);

// loss, of the computed type: the sum, or one a pixel with `values`.
cudaError_t smooth_l1(const SmoothL1Maps& maps, bool values, void* loss, SumPair* scratch,
                      cudaStream_t stream);

// out, of pred's type: derivative[i] * grads[i]; grads of the computed type, with `single` only
// grads[0].
cudaError_t smooth_l1_backward(const SmoothL1Maps& maps, const void* grads, bool single, void* out,
                               cudaStream_t stream);

}  // namespace fastcount::cuda
