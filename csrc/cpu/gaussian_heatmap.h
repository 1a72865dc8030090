// Heatmaps of Gaussians that are 1 at their centre, on a CPU: outer products, the greater one kept
// or added up to 1.
//
// Floor: 4 HWC / stride^2 bytes written and, for each point, (2r+1)^2 multiplications and 2(2r+1)
// exponentials.
//
// Reached, 500 objects of sigma 1 to 5 on 192 x 256, on two cores of a 2.4 GHz AMD EPYC with AVX2
// (2026-11-25; in the same run copying 20.1 GB/s, a float32 matrix product 137 GFLOP/s): 0.35 ms,
// 2.8 % of copying and, a product and a maximum for each cell of a window, 1.6 % of the operations.
//
// The classes of a picture lie below each other in one tall map.
#pragma once

#include <cstdint>

#include "cpu/splat.h"

namespace fastcount::cpu {

struct HeatmapPoints {
  const double* xy;            // [n, 2] pixel-index coordinates
  const double* sigma;         // [n] cells
  const std::int64_t* labels;  // [n] 0 .. classes - 1; null: all 0
};

struct HeatmapGrid {
  std::int64_t height;  // of the picture, in pixels
  std::int64_t width;
  std::int64_t stride;  // pixels a side of a cell
  bool round_centres;

  std::int64_t rows() const { return (height - 1) / stride + 1; }
  std::int64_t cols() const { return (width - 1) / stride + 1; }
};

// Where each of the points lands; the weights' places are left to the caller.
void plan_heatmap(HeatmapPoints points, std::int64_t count, HeatmapGrid grid, double truncate,
                  std::int64_t align, Splat* splats);

// The two rows of weights of each of points begin .. end - 1.
template <typename Acc>
void fill_heatmap(HeatmapPoints points, std::int64_t begin, std::int64_t end, HeatmapGrid grid,
                  double truncate, const Splat* splats, Acc* weights);

}  // namespace fastcount::cpu
