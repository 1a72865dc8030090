// Mean distance from each cell's centre to the k nearest points of a set, on a GPU.
#pragma once

#include <cstdint>

#include "cuda/launch.h"

namespace fastcount::cuda {

// points [T, 2], on 16 bytes; offsets [sets + 1] on the host. Overwrites map [sets, rows, cols] of
// cells of stride x stride pixels. Points outside the picture count as absent; fewer than k: all of
// them; none: +inf. k >= 1.
template <typename T>
cudaError_t neighbour_distance_map(const double* points, const std::int64_t* offsets,
                                   std::int64_t sets, std::int64_t height, std::int64_t width,
                                   std::int64_t k, std::int64_t stride, T* map,
                                   cudaStream_t stream);

}  // namespace fastcount::cuda
