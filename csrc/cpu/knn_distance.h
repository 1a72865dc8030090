// Mean distance of each point of a set to its k nearest other points, on a CPU.
//
// Floor: 16 bytes read and 8 written a point, and the distances to the points of about nine
// neighbouring leaves. A leaf of eight points is answered in one walk of the tree.
//
// Reached, 12,865 even points, k = 4, on two cores of a 2.4 GHz AMD EPYC with AVX2 (2026-11-25; in
// the same run copying 20.1 GB/s, a float32 matrix product 137 GFLOP/s): 3.9 ms. The distances,
// four operations in float64 each, make 2.8 % of the product's operations, the bytes 0.4 % of
// copying. That leaves out building the tree (a third of the time on one thread of a Xeon), finding
// the way in it and keeping the nearest in order.
#pragma once

#include <cstdint>

#include "cpu/point_tree.h"

namespace fastcount::cpu {

// For the points of leaves begin .. end - 1: writes distance[index] of each. `best` is scratch for
// k * kLanes numbers; 1 <= k < tree.count.
void knn_distance_leaves(const PointTree& tree, std::int64_t k, std::int64_t begin,
                         std::int64_t end, double* best, double* distance);

}  // namespace fastcount::cpu
