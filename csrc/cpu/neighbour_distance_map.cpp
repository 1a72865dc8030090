#include "cpu/neighbour_distance_map.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace fastcount::cpu {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kSlack = 1.0 + 1e-9;  // more than rounding can add to a distance
constexpr int kTileSide = 16;          // cells
constexpr int kTilesAcross = 4;
static_assert(kLanes / kTilesAcross * kTileSide == kDistanceBand);
constexpr int kMostNear = 96;

// The points that can be among the k nearest of a cell of one tile.
struct Near {
  int count;  // kMostNear + 1: more than fit
  double x[kMostNear];
  double y[kMostNear];

  void add(const TreePoint& point) {
    if (count < kMostNear) {
      x[count] = point.x;
      y[count] = point.y;
    }
    ++count;
  }
};

// As many tiles as a vector has lanes, in reading order: one walk of the tree serves them all.
struct Tiles {
  Near near[kLanes];
  double within[kLanes];  // each of a tile's cells has its k-th nearest point within this distance
};

// A cell is at most `half` from its tile's middle: its k-th nearest point is no farther from it
// than the middle's is from the middle, and half more; from the middle another half.
FASTCOUNT_INLINE void find_near(const PointTree& tree, const DistanceGrid& grid, std::int64_t k,
                                std::int64_t row, std::int64_t col, double* best, Tiles& tiles) {
  const double across = 0.5 * (kTileSide - 1) * static_cast<double>(grid.stride);
  const double half = std::sqrt(squared_distance(across, across));
  Queries middles{{}, {}, best, k};
  for (int lane = 0; lane < kLanes; ++lane) {
    middles.x[lane] = grid.centre(col + lane % kTilesAcross * kTileSide) + across;
    middles.y[lane] = grid.centre(row + lane / kTilesAcross * kTileSide) + across;
    tiles.near[lane].count = 0;
  }
  std::fill(best, best + k * kLanes, kInfinity);
  search_below(tree, 1, middles);

  double* reach = best + (k - 1) * kLanes;  // squared, as the walk compares it
  for (int lane = 0; lane < kLanes; ++lane) {
    tiles.within[lane] = (std::sqrt(reach[lane]) + half) * kSlack;
    const double far = (tiles.within[lane] + half) * kSlack;
    reach[lane] = far * far;
  }
  visit_below(tree, 1, middles, [&](std::int64_t leaf) {
    const std::int64_t last = tree.start(tree.levels, leaf + 1);
    for (std::int64_t p = tree.start(tree.levels, leaf); p < last; ++p) {
      const TreePoint& point = tree.points[p];
      for (int lane = 0; lane < kLanes; ++lane) {
        const double squared =
            squared_distance(point.x - middles.x[lane], point.y - middles.y[lane]);
        if (!(squared < reach[lane])) continue;
        tiles.near[lane].add(point);
        if (tiles.near[lane].count > kMostNear) reach[lane] = 0.0;  // looks for no more
      }
    }
  });
}

// Explicit, for a compiler makes branches of a list of the least that is kept in memory; and of
// four, the most that it keeps whole on processors without AVX-512.
typedef double Quad __attribute__((vector_size(32)));
constexpr int kQuads = kLanes / 4;

// Eight cells in a row: the mean of their k = kHeld least distances, all of which are in the list.
template <int kHeld>
FASTCOUNT_INLINE void by_list(const Near& near, const Queries& queries, double* mean) {
  Quad x[kQuads];
  std::memcpy(x, queries.x, sizeof(x));
  Quad best[kHeld][kQuads];
  for (auto& each : best) std::fill(each, each + kQuads, Quad{} + kInfinity);
  for (int p = 0; p < near.count; ++p) {
    const double dy = near.y[p] - queries.y[0];
    for (int q = 0; q < kQuads; ++q) {
      const Quad dx = near.x[p] - x[q];
      Quad squared = dx * dx + dy * dy;
      for (auto& each : best) {
        const Quad kept = each[q];
        each[q] = squared < kept ? squared : kept;
        squared = squared < kept ? kept : squared;
      }
    }
  }
  double squared[kHeld][kLanes];
  std::memcpy(squared, best, sizeof(best));
  FASTCOUNT_EACH_LANE mean[lane] = 0.0;
  for (const auto& each : squared) {
    FASTCOUNT_EACH_LANE mean[lane] += std::sqrt(each[lane]);
  }
  FASTCOUNT_EACH_LANE mean[lane] /= static_cast<double>(kHeld);
}

FASTCOUNT_INLINE void mean_of_kept(const Queries& queries, double* mean) {
  FASTCOUNT_EACH_LANE mean[lane] = 0.0;
  for (std::int64_t j = 0; j < queries.k; ++j) {
    FASTCOUNT_EACH_LANE mean[lane] += std::sqrt(queries.best[j * kLanes + lane]);
  }
  FASTCOUNT_EACH_LANE mean[lane] /= static_cast<double>(queries.k);
}

// The same for any k, and for lists that do not hold all. `within` holds, for each cell, a distance
// that its k-th nearest point does not exceed, and receives that point's.
FASTCOUNT_INLINE void by_tree(const PointTree& tree, const Queries& queries, double* within,
                              double* mean) {
  for (std::int64_t j = 0; j < queries.k; ++j) {
    FASTCOUNT_EACH_LANE queries.best[j * kLanes + lane] = within[lane] * within[lane];
  }
  search_below(tree, 1, queries);
  mean_of_kept(queries, mean);
  FASTCOUNT_EACH_LANE within[lane] = std::sqrt(queries.best[(queries.k - 1) * kLanes + lane]);
}

template <typename Out>
FASTCOUNT_INLINE void measure_tile(const PointTree& tree, const DistanceGrid& grid, std::int64_t k,
                                   std::int64_t row, std::int64_t col, const Near& near,
                                   double within, double* best, Out* map) {
  const double step = static_cast<double>(grid.stride);
  const bool listed = near.count <= kMostNear;
  double known[kTileSide];
  std::fill(known, known + kTileSide, within);
  for (std::int64_t r = row; r < std::min(row + kTileSide, grid.rows); ++r) {
    for (std::int64_t c = 0; c < kTileSide && col + c < grid.cols; c += kLanes) {
      Queries queries{{}, {}, best, k};
      for (int lane = 0; lane < kLanes; ++lane) {
        queries.x[lane] = grid.centre(col + c + lane);
        queries.y[lane] = grid.centre(r);
      }
      double mean[kLanes];
      if (listed && k == 1) {
        by_list<1>(near, queries, mean);
      } else if (listed && k == 2) {
        by_list<2>(near, queries, mean);
      } else if (listed && k == 3) {
        by_list<3>(near, queries, mean);
      } else if (listed && k == 4) {
        by_list<4>(near, queries, mean);
      } else {
        by_tree(tree, queries, known + c, mean);
        // A row further down, the point is at most a row further away.
        FASTCOUNT_EACH_LANE known[c + lane] = (known[c + lane] + step) * kSlack;
      }
      const std::int64_t filled = std::min<std::int64_t>(kLanes, grid.cols - col - c);
      Out* out = map + r * grid.cols + col + c;
      for (std::int64_t lane = 0; lane < filled; ++lane) out[lane] = static_cast<Out>(mean[lane]);
    }
  }
}

template <typename Out>
FASTCOUNT_INLINE void measure_band(const PointTree& tree, const DistanceGrid& grid, std::int64_t k,
                                   std::int64_t band, double* best, Out* map) {
  Tiles tiles;
  const std::int64_t row = band * kDistanceBand;
  for (std::int64_t col = 0; col < grid.cols; col += kTilesAcross * kTileSide) {
    find_near(tree, grid, k, row, col, best, tiles);
    for (int lane = 0; lane < kLanes; ++lane) {
      measure_tile(tree, grid, k, row + lane / kTilesAcross * kTileSide,
                   col + lane % kTilesAcross * kTileSide, tiles.near[lane], tiles.within[lane],
                   best, map);
    }
  }
}

}  // namespace

FASTCOUNT_MULTIVERSION
void neighbour_distance_band(const PointTree& tree, const DistanceGrid& grid, std::int64_t k,
                             std::int64_t band, double* scratch, float* map) {
  measure_band(tree, grid, k, band, scratch, map);
}

FASTCOUNT_MULTIVERSION
void neighbour_distance_band(const PointTree& tree, const DistanceGrid& grid, std::int64_t k,
                             std::int64_t band, double* scratch, double* map) {
  measure_band(tree, grid, k, band, scratch, map);
}

}  // namespace fastcount::cpu
