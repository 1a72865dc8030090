// Gaussian density maps on a CPU: outer products of two rows of weights, added into a map.
//
// Floor, stride 1: 4 HW bytes written and, for each point, (2r+1)^2 multiply-adds and 2(2r+1)
// weights of two multiplications, see gaussian_table.h. At stride s: 4 HW / s^2 bytes and
// (2r/s+1)^2 multiply-adds. The full-resolution map is never held for s > 1.
//
// A pyramid draws its finest map and pools the coarser ones from it where their cells are whole
// cells of it (pool_cells.h); not from a full-resolution map that was summed in float32.
//
// Reached on two cores of an AMD EPYC with AVX-512 (2026-11-29; in the same run copying 35.6 GB/s,
// a float32 matrix product 205 GFLOP/s), the call from Python included: 1,000 points of sigma 15
// on 768 x 1024 in 0.60 ms, the floor's 3.1 MB at 15 % of copying and its 7.8 M multiply-adds at
// 13 % of the product; strides 8, 16, 32, 64 and 128 in 0.26 ms, 0.7 % and 3.6 %, a third of it
// what a call costs for a single point.
#pragma once

#include <cstdint>

#include "cpu/splat.h"

namespace fastcount::cpu {

struct DensityPoints {
  const double* xy;     // [n, 2] pixel-index coordinates
  const double* sigma;  // [n] pixels
};

struct DensityGrid {
  DensityGrid(std::int64_t picture_height, std::int64_t picture_width, std::int64_t cell_side)
      : height(picture_height),
        width(picture_width),
        stride(cell_side),
        inverse(1.0 / static_cast<double>(cell_side)) {
    while (halvings < 3 && stride % (std::int64_t{2} << halvings) == 0) ++halvings;
  }

  std::int64_t rows() const { return cell(height - 1) + 1; }
  std::int64_t cols() const { return cell(width - 1) + 1; }
  // pixel / stride for pixel < 2^31, without the division, which would run several times a point:
  // half a pixel away from any whole number, the product's rounding cannot reach one.
  std::int64_t cell(std::int64_t pixel) const {
    return static_cast<std::int64_t>((static_cast<double>(pixel) + 0.5) * inverse);
  }

  std::int64_t height;  // of the picture, in pixels, below 2^31
  std::int64_t width;
  std::int64_t stride;  // pixels a side of a cell, below 2^31
  double inverse;
  int halvings = 0;  // how often pixels are added up in pairs first: vectors can
};

// An upper bound on the number of points whose kernels overlap in one pixel.
std::int64_t max_overlap(DensityPoints points, std::int64_t count, DensityGrid grid,
                         double truncate);

// Where each of points begin .. end - 1 lands; the weights' places are left to the caller. Columns
// are widened to multiples of `align` where the map has room; beyond 1 for stride 1 only.
void plan_splats(DensityPoints points, std::int64_t begin, std::int64_t end, double truncate,
                 const DensityGrid& grid, std::int64_t align, Splat* splats);

// The two rows of weights of each of points begin .. end - 1.
template <typename Acc>
void fill_weights(DensityPoints points, std::int64_t begin, std::int64_t end, double truncate,
                  bool renormalize, const DensityGrid& grid, const Splat* splats, Acc* weights);

}  // namespace fastcount::cpu
