// Heatmaps of Gaussians that are 1 at their centre, on a GPU.
#pragma once

#include <cstdint>

#include "cuda/launch.h"

namespace fastcount::cuda {

struct HeatmapOptions {
  std::int64_t height;  // of the picture, in pixels, below 2^31
  std::int64_t width;
  std::int64_t stride;  // pixels a side of a cell
  int classes;
  double truncate;
  bool add;
  bool round_centres;
};

// Bytes of memory for `points` prepared points, whatever the type of the maps.
std::int64_t heatmap_prepared_bytes(std::int64_t points);

// xy [n, 2], sigma [n] in cells, labels [n] or null (all 0); offsets [sets + 1] on the host;
// `prepared` is scratch memory; maps [sets, classes, rows, cols] are written whole.
template <typename T>
cudaError_t gaussian_heatmap(const double* xy, const double* sigma, const std::int64_t* labels,
                             const std::int64_t* offsets, std::int64_t sets, HeatmapOptions options,
                             void* prepared, T* maps, cudaStream_t stream);

}  // namespace fastcount::cuda
