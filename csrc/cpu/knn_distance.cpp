#include "cpu/knn_distance.h"

#include <cmath>
#include <limits>

namespace fastcount::cpu {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

FASTCOUNT_INLINE void answer_leaf(const PointTree& tree, std::int64_t leaf, std::int64_t k,
                                  double* best, double* distance) {
  const std::int64_t first = tree.start(tree.levels, leaf);
  const std::int64_t filled = tree.start(tree.levels, leaf + 1) - first;
  Queries queries{{}, {}, best, k};
  for (int lane = 0; lane < kLanes; ++lane) {
    // Lanes without a point repeat the first one: they find it at distance 0, so they never ask
    // for more of the tree than the others do.
    const TreePoint& point = tree.points[first + (lane < filled ? lane : 0)];
    queries.x[lane] = point.x;
    queries.y[lane] = point.y;
  }
  for (std::int64_t i = 0; i < k * kLanes; ++i) best[i] = kInfinity;

  // Its own leaf first, each point without itself; then, going up, the half not yet seen.
  for (std::int64_t other = 0; other < filled; ++other) {
    const TreePoint& point = tree.points[first + other];
    double squared[kLanes];
    FASTCOUNT_EACH_LANE {
      squared[lane] = squared_distance(point.x - queries.x[lane], point.y - queries.y[lane]);
    }
    squared[other] = kInfinity;
    offer(queries, squared);
  }
  for (std::int64_t node = tree.leaves() + leaf; node > 1; node >>= 1) {
    search_below(tree, node ^ 1, queries);
  }

  for (std::int64_t lane = 0; lane < filled; ++lane) {
    double sum = 0.0;
    for (std::int64_t j = 0; j < k; ++j) sum += std::sqrt(best[j * kLanes + lane]);
    distance[tree.points[first + lane].index] = sum / static_cast<double>(k);
  }
}

}  // namespace

FASTCOUNT_MULTIVERSION
void knn_distance_leaves(const PointTree& tree, std::int64_t k, std::int64_t begin,
                         std::int64_t end, double* best, double* distance) {
  for (std::int64_t leaf = begin; leaf < end; ++leaf) answer_leaf(tree, leaf, k, best, distance);
}

}  // namespace fastcount::cpu
