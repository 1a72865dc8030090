// Gaussian density maps on a CPU: outer products of two rows of weights, added into a map.
//
// Floor, stride 1: 4 HW bytes written and, for each point, (2r+1)^2 multiply-adds and 2(2r+1)
// exponentials. At stride s: 4 HW / s^2 bytes and (2r/s+1)^2 multiply-adds. The full-resolution map
// is never held for s > 1.
//
// A batch is one tall map: picture b owns rows b * rows .. b * rows + rows - 1. Every cell receives
// its points in the order in which they come, whatever the division of rows between threads, so the
// bits of a map do not depend on the number of threads.
#pragma once

#include <cstdint>

namespace fastcount::cpu {

struct DensityPoints {
  const double* xy;     // [n, 2] pixel-index coordinates
  const double* sigma;  // [n] pixels
};

struct DensityGrid {
  std::int64_t height;  // of the picture, in pixels
  std::int64_t width;
  std::int64_t stride;  // pixels a side of a cell

  std::int64_t rows() const { return (height - 1) / stride + 1; }
  std::int64_t cols() const { return (width - 1) / stride + 1; }
};

// What one point adds to one map: weights[row_weights ..] times weights[col_weights ..].
// A point outside its picture has rows == 0.
struct Splat {
  std::int64_t first_row;  // in the picture
  std::int64_t first_col;
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t row_weights;
  std::int64_t col_weights;

  std::int64_t weights() const { return rows + cols; }
};

// An upper bound on the number of points whose kernels overlap in one pixel.
std::int64_t max_overlap(DensityPoints points, std::int64_t count, DensityGrid grid,
                         double truncate);

// Where each of points begin .. end - 1 lands on the grid; the weights' places are left to the
// caller. `align` cells: the columns are widened to a multiple of it where the map has room.
void plan_splats(DensityPoints points, std::int64_t begin, std::int64_t end, DensityGrid grid,
                 double truncate, std::int64_t align, Splat* splats);

// The two rows of weights of each of points begin .. end - 1.
template <typename Acc>
void fill_weights(DensityPoints points, std::int64_t begin, std::int64_t end, DensityGrid grid,
                  double truncate, bool renormalize, const Splat* splats, Acc* weights);

// Adds splats begin .. end - 1, all of one picture, to rows first_row .. last_row - 1 of its map.
template <typename Acc>
void add_splats(const Splat* splats, std::int64_t begin, std::int64_t end, const Acc* weights,
                std::int64_t first_row, std::int64_t last_row, std::int64_t cols, Acc* map);

}  // namespace fastcount::cpu
