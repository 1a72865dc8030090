// Mean distance from each cell's centre to the k nearest points of a set, on a CPU.
//
// Floor: 4 HW / stride^2 bytes written in float32, and for each cell the distances to the points
// near it.
//
// Cells are answered in tiles of 16 x 16, which share a list of the points that can be among the k
// nearest of any of them: no point of such is farther from the tile's middle than the middle's own
// k-th nearest and once more the tile's diagonal. That makes twelve points for even ones and k =
// 3. A walk of the tree makes the lists of eight tiles. Where a list would be too long, or k is
// above 4, eight neighbouring cells walk the tree together instead, and what the row above found
// bounds their search.
//
// Reached as an attention map of 2013 x 2902 cells, 12,865 even points, k = 3, on two cores of an
// AMD EPYC with AVX-512 (2026-11-29; in the same run copying 35.6 GB/s, a float32 matrix product
// 205 GFLOP/s): 28.8 ms. The distances, four operations in float64 each, make 19 % of the
// product's operations, the map 2.3 % of copying. That leaves out keeping the nearest in order,
// three square roots and a division a cell, and the exponential, which PyTorch makes.
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
