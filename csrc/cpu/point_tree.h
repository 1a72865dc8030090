// A balanced k-d tree over a point set, and the search for the k nearest points of eight queries
// at a time.
//
// Why a tree and not a grid of cells: annotations cluster, one stray point can be a million pixels
// away, and a set may hold the same point a million times. Splitting at the median costs the same
// for all of them, and a box at distance d is left out as soon as d is not less than the k-th best.
//
// Eight neighbouring queries walk the tree together, one in each lane of a vector, so a candidate
// costs one vector operation where eight separate searches would take eight branches.
#pragma once

#include <cstdint>

#include "cpu/multiversion.h"
#include "math/knn.h"

// A loop over lanes: kept whole for the vectoriser, which sees it only if nothing unrolls it first.
#if defined(__GNUC__) && !defined(__clang__)
#define FASTCOUNT_EACH_LANE _Pragma("GCC unroll 1") for (int lane = 0; lane < kLanes; ++lane)
#else
#define FASTCOUNT_EACH_LANE for (int lane = 0; lane < kLanes; ++lane)
#endif

namespace fastcount::cpu {

constexpr int kLanes = 8;

struct TreePoint {
  double x, y;
  std::int64_t index;  // position in the caller's array
};

struct NodeBox {
  double x_low, y_low, x_high, y_high;
};

// Borrowed memory: `points` holds `count` >= 1 entries in leaf order, `boxes` one box a node in
// heap order: the root at 1, the children of node i at 2i and 2i + 1, nothing at 0.
struct PointTree {
  TreePoint* points;
  NodeBox* boxes;
  std::int64_t count;
  int levels;  // 1 << levels leaves of at most kLanes points

  std::int64_t leaves() const { return std::int64_t{1} << levels; }
  // First point of the j-th node of a level: the halves of a half, rounded alike on every level.
  std::int64_t start(int level, std::int64_t j) const { return (j * count) >> level; }
};

// How often a set of `count` points must be halved.
int tree_levels(std::int64_t count);

// Building, in this order: load; split each level from 0 to levels - 1 (nodes of one level are
// independent work); tighten.
void load_points(const PointTree& tree, const double* xy);
void split_level(const PointTree& tree, int level, std::int64_t begin, std::int64_t end);
void tighten_boxes(const PointTree& tree);

// Eight queries and, ascending, the squared distances of the k nearest points each has met.
struct Queries {
  double x[kLanes];
  double y[kLanes];
  double* best;  // [k, kLanes]
  std::int64_t k;
};

FASTCOUNT_INLINE bool any_less(const double* a, const double* b) {
  std::int64_t any = 0;
  FASTCOUNT_EACH_LANE any |= a[lane] < b[lane] ? 1 : 0;
  return any != 0;
}

FASTCOUNT_INLINE void offer(const Queries& queries, double* squared) {
  if (!any_less(squared, queries.best + (queries.k - 1) * kLanes)) return;
  for (std::int64_t j = 0; j < queries.k; ++j) {
    double* kept = queries.best + j * kLanes;
    FASTCOUNT_EACH_LANE keep_smaller(kept[lane], squared[lane]);
  }
}

FASTCOUNT_INLINE void offer_leaf(const PointTree& tree, std::int64_t leaf, const Queries& queries) {
  const std::int64_t last = tree.start(tree.levels, leaf + 1);
  for (std::int64_t p = tree.start(tree.levels, leaf); p < last; ++p) {
    const TreePoint point = tree.points[p];
    double squared[kLanes];
    FASTCOUNT_EACH_LANE {
      squared[lane] = squared_distance(point.x - queries.x[lane], point.y - queries.y[lane]);
    }
    offer(queries, squared);
  }
}

// Whether some query could find a nearer point inside the box than the worst it has kept.
FASTCOUNT_INLINE bool promising(const NodeBox& box, const Queries& queries) {
  double squared[kLanes];
  FASTCOUNT_EACH_LANE {
    squared[lane] = squared_distance(interval_gap(box.x_low, box.x_high, queries.x[lane]),
                                     interval_gap(box.y_low, box.y_high, queries.y[lane]));
  }
  return any_less(squared, queries.best + (queries.k - 1) * kLanes);
}

FASTCOUNT_INLINE double squared_to(const NodeBox& box, double x, double y) {
  return squared_distance(interval_gap(box.x_low, box.x_high, x),
                          interval_gap(box.y_low, box.y_high, y));
}

// Calls visit(leaf) for every leaf below node `top` that is still promising when its turn comes.
// The nearer half comes first, or far points would be kept only to be replaced.
template <typename Visit>
FASTCOUNT_INLINE void visit_below(const PointTree& tree, std::int64_t top, const Queries& queries,
                                  Visit visit) {
  std::int64_t stack[64];
  int depth = 0;
  const std::int64_t leaves = tree.leaves();
  stack[depth++] = top;
  while (depth > 0) {
    const std::int64_t node = stack[--depth];
    if (!promising(tree.boxes[node], queries)) continue;
    if (node >= leaves) {
      visit(node - leaves);
    } else {
      const bool right_first = squared_to(tree.boxes[2 * node + 1], queries.x[0], queries.y[0]) <
                               squared_to(tree.boxes[2 * node], queries.x[0], queries.y[0]);
      stack[depth++] = 2 * node + (right_first ? 0 : 1);
      stack[depth++] = 2 * node + (right_first ? 1 : 0);
    }
  }
}

// Offers every point below node `top` that could still count.
FASTCOUNT_INLINE void search_below(const PointTree& tree, std::int64_t top,
                                   const Queries& queries) {
  visit_below(tree, top, queries, [&](std::int64_t leaf) { offer_leaf(tree, leaf, queries); });
}

}  // namespace fastcount::cpu
