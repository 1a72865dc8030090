// Crosses of five pixels on maps, on a GPU.
#pragma once

#include <cstdint>

#include "cuda/launch.h"

namespace fastcount::cuda {

// points [T, 2], on 16 bytes; offsets [sets + 1] on the host. Overwrites map [sets, height, width].
cudaError_t cross_label(const double* points, const std::int64_t* offsets, std::int64_t sets,
                        std::int64_t height, std::int64_t width, float* map, cudaStream_t stream);

}  // namespace fastcount::cuda
