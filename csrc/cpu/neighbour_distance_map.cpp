#include "cpu/neighbour_distance_map.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fastcount::cpu {
namespace {

// More than rounding can add to a distance on the way from one cell to the next.
constexpr double kSlack = 1.0 + 1e-9;

// Eight cells from `col` on. `reach` holds, for each, a distance that at least k points are nearer
// than (or inf), and receives the distance of the k-th.
FASTCOUNT_INLINE void answer_cells(const PointTree& tree, const DistanceGrid& grid, std::int64_t k,
                                   double y, std::int64_t col, double* reach, double* best,
                                   double* map_row) {
  Queries queries{{}, {}, best, k};
  for (int lane = 0; lane < kLanes; ++lane) {
    queries.x[lane] = grid.centre(col + lane);
    queries.y[lane] = y;
  }
  for (std::int64_t j = 0; j < k; ++j) {
    FASTCOUNT_EACH_LANE best[j * kLanes + lane] = reach[lane] * reach[lane];
  }
  search_below(tree, 1, queries);

  double sum[kLanes] = {};
  for (std::int64_t j = 0; j < k; ++j) {
    FASTCOUNT_EACH_LANE sum[lane] += std::sqrt(best[j * kLanes + lane]);
  }
  FASTCOUNT_EACH_LANE reach[lane] = std::sqrt(best[(k - 1) * kLanes + lane]);
  const std::int64_t filled = std::min<std::int64_t>(kLanes, grid.cols - col);
  for (std::int64_t lane = 0; lane < filled; ++lane) {
    map_row[col + lane] = sum[lane] / static_cast<double>(k);
  }
}

}  // namespace

FASTCOUNT_MULTIVERSION
void neighbour_distance_rows(const PointTree& tree, const DistanceGrid& grid, std::int64_t k,
                             std::int64_t first_row, std::int64_t last_row, double* scratch,
                             double* map) {
  const double step = static_cast<double>(grid.stride);
  double* best = scratch;
  double* reach = scratch + k * kLanes;  // of the row above, then of this one
  for (std::int64_t row = first_row; row < last_row; ++row) {
    for (std::int64_t col = 0; col < grid.cols; col += kLanes) {
      double* here = reach + col;
      if (row > first_row) {
        for (int lane = 0; lane < kLanes; ++lane) here[lane] = (here[lane] + step) * kSlack;
      } else if (col > 0) {
        for (int lane = 0; lane < kLanes; ++lane) {
          here[lane] = (here[lane - kLanes] + kLanes * step) * kSlack;
        }
      } else {
        std::fill(here, here + kLanes, std::numeric_limits<double>::infinity());
      }
      answer_cells(tree, grid, k, grid.centre(row), col, here, best, map + row * grid.cols);
    }
  }
}

}  // namespace fastcount::cpu
