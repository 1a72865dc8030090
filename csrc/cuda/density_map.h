// Gaussian density maps on a GPU.
#pragma once

#include <cstdint>

#include "cuda/launch.h"

namespace fastcount::cuda {

struct DensityPicture {
  std::int64_t height;  // pixels, below 2^31
  std::int64_t width;
  double truncate;
  bool renormalize;
};

// Bytes of memory for `points` prepared points, whatever the type of the maps.
std::int64_t density_prepared_bytes(std::int64_t points);

// Prepares points for maps of T: xy [n, 2] and sigma [n] in, `prepared` out, aligned to 16 bytes.
template <typename T>
cudaError_t prepare_density(const double* xy, const double* sigma, std::int64_t count,
                            DensityPicture picture, void* prepared, cudaStream_t stream);

// One level: map [sets, rows, cols], written whole. offsets [sets + 1] on the host.
template <typename T>
cudaError_t draw_density(const void* prepared, const std::int64_t* offsets, std::int64_t sets,
                         DensityPicture picture, std::int64_t stride, T* map, cudaStream_t stream);

}  // namespace fastcount::cuda
