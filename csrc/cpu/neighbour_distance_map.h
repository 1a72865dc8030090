// Mean distance from each cell's centre to the k nearest points of a set, on a CPU.
//
// Floor: 8 HW / stride^2 bytes written, and the distances to the points of about seven leaves of
// the tree for every eight cells. Eight neighbouring cells walk the tree together, and what the row
// above found bounds their search: a cell's k-th nearest point is at most one step further away.
//
// Reached as an attention map of 2013 x 2902 cells, 12,865 even points, k = 3, on two cores of
// a 2.4 GHz AMD EPYC with AVX2 (2026-11-25; in the same run copying 20.1 GB/s, a float32 matrix
// product 137 GFLOP/s): 226 ms. The distances, four operations in float64 each, make 17 % of the
// product's operations, the map 0.5 % of copying. That leaves out finding the way in the tree
// and keeping the nearest in order.
#pragma once

#include <cstdint>

#include "cpu/point_tree.h"

namespace fastcount::cpu {

// Rows of cells that are answered together.
constexpr std::int64_t kDistanceBand = 32;

struct DistanceGrid {
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t stride;  // pixels a side of a cell

  std::int64_t bands() const { return (rows - 1) / kDistanceBand + 1; }
  // Pixel-index coordinate of the centre of a row or column of cells.
  double centre(std::int64_t cell) const {
    return static_cast<double>(cell) * static_cast<double>(stride) +
           0.5 * static_cast<double>(stride - 1);
  }
};

// Numbers of scratch that one call needs.
inline std::int64_t neighbour_distance_scratch(std::int64_t k) { return k * kLanes; }

// Fills one band of `map`, [rows, cols]; 1 <= k <= tree.count.
void neighbour_distance_band(const PointTree& tree, const DistanceGrid& grid, std::int64_t k,
                             std::int64_t band, double* scratch, float* map);
void neighbour_distance_band(const PointTree& tree, const DistanceGrid& grid, std::int64_t k,
                             std::int64_t band, double* scratch, double* map);

}  // namespace fastcount::cpu
