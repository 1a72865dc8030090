// The focal losses on a GPU.
//
// Launches only: nothing waits, nothing is added atomically, a CUDA graph can hold all of it.
#pragma once

#include <cstdint>

#include "cuda/block_sum.h"
#include "cuda/number.h"
#include "math/focal_loss.h"

namespace fastcount::cuda {

// Every pointer on 16 bytes. "Computed" means double for a double prediction, else float.
struct FocalMaps {
  const void* pred;
  Number number;       // of pred
  const void* target;  // computed type
  const bool* mask;    // null: target > 0
  std::int64_t count;
};

struct FocalResults {
  void* loss;    // computed type: one number, or one a pixel where `values`
  void* weight;  // computed type, one number: alpha / N
  void* slope;   // computed type, one a pixel; null: not wanted
  bool values;
};

// Pairs of scratch memory that focal_loss needs.
std::int64_t focal_loss_scratch(std::int64_t count);

// normalizer <= 0: N is the number of entries with target = 1, at least 1.
cudaError_t focal_loss(const FocalMaps& maps, const FocalOptions& options, double alpha,
                       double normalizer, const FocalResults& results, SumPair* scratch,
                       cudaStream_t stream);

// out[i] = slope[i] * (weight * grads[i]), out of type `number`; with `single` every grads[i] is
// grads[0].
cudaError_t focal_loss_backward(const void* grads, bool single, const void* slope,
                                const void* weight, std::int64_t count, Number number, void* out,
                                cudaStream_t stream);

}  // namespace fastcount::cuda
