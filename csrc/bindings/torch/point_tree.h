// A k-d tree with its memory, built by as many threads as there are.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <cstdint>
#include <vector>

#include "cpu/point_tree.h"

namespace fastcount {

class BuiltTree {
 public:
  // `xy`: [count, 2] finite coordinates, count >= 1.
  BuiltTree(const double* xy, std::int64_t count)
      : levels_(cpu::tree_levels(count)),
        points_(static_cast<std::size_t>(count)),
        boxes_(std::size_t{2} << levels_),
        tree_{points_.data(), boxes_.data(), count, levels_} {
    cpu::load_points(tree_, xy);
    for (int level = 0; level < levels_; ++level) {
      const std::int64_t nodes = std::int64_t{1} << level;
      const std::int64_t grain = 2048 * nodes / count + 1;
      torch::stable::parallel_for(0, nodes, grain, [&](std::int64_t begin, std::int64_t end) {
        cpu::split_level(tree_, level, begin, end);
      });
    }
    cpu::tighten_boxes(tree_);
  }
  BuiltTree(const BuiltTree&) = delete;
  BuiltTree& operator=(const BuiltTree&) = delete;

  const cpu::PointTree& tree() const { return tree_; }

 private:
  int levels_;
  std::vector<cpu::TreePoint> points_;
  std::vector<cpu::NodeBox> boxes_;
  cpu::PointTree tree_;
};

}  // namespace fastcount
