// A Gaussian that is 1 at its centre, along one axis of a map of cells.
#pragma once

#include <cmath>
#include <cstdint>

#include "math/density_map.h"

namespace fastcount {

// Where a point inside the picture lies among `cells` cells of `stride` pixels.
struct HeatmapCentre {
  double position;    // in cells; whole when rounded
  std::int64_t cell;  // the middle of the window
};

FASTCOUNT_HD HeatmapCentre heatmap_centre(double pixel, std::int64_t stride, std::int64_t cells,
                                          bool round) {
  const double position = pixel / static_cast<double>(stride);
  const std::int64_t cell = nearest_pixel(position, cells);
  return {round ? static_cast<double>(cell) : position, cell};
}

// exp(-offset^2 / (2 sigma^2)), `offset` in cells.
template <typename T>
FASTCOUNT_HD T heatmap_weight(T offset, T rate) {
  return exp_nonpositive(-offset * offset * rate);
}

}  // namespace fastcount
