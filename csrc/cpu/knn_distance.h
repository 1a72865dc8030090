// Mean distance of each point of a set to its k nearest other points, on a CPU.
//
// Floor: 16 bytes read and 8 written a point, and the distances to the points of about nine
// neighbouring leaves. A leaf of eight points is answered in one walk of the tree.
//
// Reached, 12,865 even points, k = 4, one thread of a 2.5 GHz Xeon with AVX-512, CPU time: 6.0 ms,
// about 2 of them for building the tree.
#pragma once

#include <cstdint>

#include "cpu/point_tree.h"

namespace fastcount::cpu {

// For the points of leaves begin .. end - 1: writes distance[index] of each. `best` is scratch for
// k * kLanes numbers; 1 <= k < tree.count.
void knn_distance_leaves(const PointTree& tree, std::int64_t k, std::int64_t begin,
                         std::int64_t end, double* best, double* distance);

}  // namespace fastcount::cpu
