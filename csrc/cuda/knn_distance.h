// Mean distance of each point of a set to its k nearest other points, on a GPU.
#pragma once

#include <cstdint>

#include "cuda/launch.h"

namespace fastcount::cuda {

// How many doubles of scratch memory knn_distance needs; 0 for small k.
std::int64_t knn_distance_scratch(std::int64_t points, std::int64_t k);

// points [T, 2], on 16 bytes; offsets [sets + 1] on the host; distance [T], +inf for a point that
// is alone in its set. k >= 1; a set with fewer others than k uses all of them.
cudaError_t knn_distance(const double* points, const std::int64_t* offsets, std::int64_t sets,
                         std::int64_t k, double* scratch, double* distance, cudaStream_t stream);

}  // namespace fastcount::cuda
