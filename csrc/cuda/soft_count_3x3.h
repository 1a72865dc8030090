// The soft count of windows of 3 x 3, by warps that walk down rows.
#pragma once

#include <cstdint>

#include "cuda/soft_count.h"

namespace fastcount::cuda {

// Warps that walk one map forward; each leaves one sum.
std::int64_t soft_walks_3x3(const SoftMaps& maps);

// out, and the sums of the walks, map by map, in `partial` if that is not null.
cudaError_t soft_forward_3x3(const SoftMaps& maps, void* out, double* partial, cudaStream_t stream);

// As soft_backward.
cudaError_t soft_backward_3x3(const SoftMaps& maps, const void* grad, const void* grad_sum,
                              void* out, cudaStream_t stream);

}  // namespace fastcount::cuda
