#include "cpu/knn_distance.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "bindings/torch/point_tree.h"
#include "bindings/torch/points.h"

namespace fastcount {
namespace {

using torch::headeronly::IntHeaderOnlyArrayRef;
using torch::stable::Tensor;

// One set; the work inside is divided between threads, the answer does not depend on how.
void mean_distances(const double* xy, std::int64_t count, std::int64_t k, double* distance) {
  if (count < 2) {
    std::fill(distance, distance + count, std::numeric_limits<double>::infinity());
    return;
  }
  const std::int64_t nearest = std::min(k, count - 1);
  const BuiltTree built(xy, count);
  const cpu::PointTree& tree = built.tree();
  torch::stable::parallel_for(0, tree.leaves(), 64, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> best(static_cast<std::size_t>(nearest * cpu::kLanes));
    cpu::knn_distance_leaves(tree, nearest, begin, end, best.data(), distance);
  });
}

Tensor knn_distance(const Tensor& points, IntHeaderOnlyArrayRef counts, std::int64_t k) {
  const std::vector<std::int64_t> offsets = check_point_sets(points, counts);
  STD_TORCH_CHECK(k >= 1, "k must be at least 1, got ", k);
  const Tensor held = torch::stable::contiguous(points);
  const double* xy = held.const_data_ptr<double>();
  check_finite(xy, 2 * offsets.back(), "points");
  Tensor distance = torch::stable::new_empty(points, {offsets.back()});
  double* out = distance.mutable_data_ptr<double>();
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
    mean_distances(xy + 2 * offsets[i], offsets[i + 1] - offsets[i], k, out + offsets[i]);
  }
  return distance;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastcount, CPU, m) { m.impl("knn_distance", TORCH_BOX(&knn_distance)); }

}  // namespace fastcount
