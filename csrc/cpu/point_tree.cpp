#include "cpu/point_tree.h"

#include <algorithm>
#include <limits>

namespace fastcount::cpu {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

NodeBox joined(const NodeBox& a, const NodeBox& b) {
  return {std::min(a.x_low, b.x_low), std::min(a.y_low, b.y_low), std::max(a.x_high, b.x_high),
          std::max(a.y_high, b.y_high)};
}

NodeBox box_of(const TreePoint& p) { return {p.x, p.y, p.x, p.y}; }

}  // namespace

int tree_levels(std::int64_t count) {
  int levels = 0;
  while ((std::int64_t{kLanes} << levels) < count) ++levels;
  return levels;
}

void load_points(const PointTree& tree, const double* xy) {
  NodeBox all{kInfinity, kInfinity, -kInfinity, -kInfinity};
  for (std::int64_t i = 0; i < tree.count; ++i) {
    tree.points[i] = {xy[2 * i], xy[2 * i + 1], i};
    all = joined(all, box_of(tree.points[i]));
  }
  tree.boxes[1] = all;
}

// Splits nodes at their medians, across the longer side of their region.
void split_level(const PointTree& tree, int level, std::int64_t begin, std::int64_t end) {
  for (std::int64_t j = begin; j < end; ++j) {
    const std::int64_t node = (std::int64_t{1} << level) + j;
    TreePoint* first = tree.points + tree.start(level, j);
    TreePoint* middle = tree.points + tree.start(level + 1, 2 * j + 1);
    TreePoint* last = tree.points + tree.start(level, j + 1);
    NodeBox low = tree.boxes[node];
    NodeBox high = low;
    if (low.x_high - low.x_low > low.y_high - low.y_low) {
      std::nth_element(first, middle, last,
                       [](const TreePoint& a, const TreePoint& b) { return a.x < b.x; });
      low.x_high = high.x_low = middle->x;
    } else {
      std::nth_element(first, middle, last,
                       [](const TreePoint& a, const TreePoint& b) { return a.y < b.y; });
      low.y_high = high.y_low = middle->y;
    }
    tree.boxes[2 * node] = low;
    tree.boxes[2 * node + 1] = high;
  }
}

// Shrinks every box to the points inside it: the leaves first, then each pair into its parent.
void tighten_boxes(const PointTree& tree) {
  const std::int64_t leaves = tree.leaves();
  for (std::int64_t j = 0; j < leaves; ++j) {
    const TreePoint* point = tree.points + tree.start(tree.levels, j);
    const TreePoint* last = tree.points + tree.start(tree.levels, j + 1);
    NodeBox box = box_of(*point);
    while (++point < last) box = joined(box, box_of(*point));
    tree.boxes[leaves + j] = box;
  }
  for (std::int64_t node = leaves - 1; node >= 1; --node) {
    tree.boxes[node] = joined(tree.boxes[2 * node], tree.boxes[2 * node + 1]);
  }
}

}  // namespace fastcount::cpu
