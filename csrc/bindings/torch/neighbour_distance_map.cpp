#include "cpu/neighbour_distance_map.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "bindings/torch/point_tree.h"
#include "bindings/torch/points.h"
#include "math/density_map.h"

namespace fastcount {
namespace {

using torch::headeronly::IntHeaderOnlyArrayRef;
using torch::stable::Tensor;

// One picture; `inside` holds `count` points, all inside it.
void distances(const double* inside, std::int64_t count, std::int64_t k, std::int64_t rows,
               const cpu::DistanceGrid& grid, double* map) {
  if (count == 0) {
    std::fill(map, map + rows * grid.cols, std::numeric_limits<double>::infinity());
    return;
  }
  const std::int64_t nearest = std::min(k, count);
  const BuiltTree built(inside, count);
  const std::int64_t grain = 4096 / grid.cols + 1;
  torch::stable::parallel_for(0, rows, grain, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> scratch(
        static_cast<std::size_t>(cpu::neighbour_distance_scratch(grid.cols, nearest)));
    cpu::neighbour_distance_rows(built.tree(), grid, nearest, begin, end, scratch.data(), map);
  });
}

Tensor neighbour_distance_map(const Tensor& points, IntHeaderOnlyArrayRef counts,
                              std::int64_t height, std::int64_t width, std::int64_t k,
                              std::int64_t stride) {
  const std::vector<std::int64_t> offsets = check_point_sets(points, counts);
  check_picture(height, width);
  check_stride(stride);
  STD_TORCH_CHECK(k >= 1, "k must be at least 1, got ", k);
  const Tensor held = torch::stable::contiguous(points);
  const double* xy = held.const_data_ptr<double>();
  check_finite(xy, 2 * offsets.back(), "points");
  const std::int64_t rows = (height - 1) / stride + 1;
  const cpu::DistanceGrid grid{(width - 1) / stride + 1, stride};
  const std::int64_t sets = static_cast<std::int64_t>(offsets.size()) - 1;
  Tensor map = torch::stable::new_empty(points, {sets, 1, rows, grid.cols});
  double* out = map.mutable_data_ptr<double>();
  std::vector<double> inside;
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
    inside.clear();
    for (std::int64_t p = offsets[i]; p < offsets[i + 1]; ++p) {
      if (!inside_axis(xy[2 * p], width) || !inside_axis(xy[2 * p + 1], height)) continue;
      inside.insert(inside.end(), {xy[2 * p], xy[2 * p + 1]});
    }
    distances(inside.data(), static_cast<std::int64_t>(inside.size()) / 2, k, rows, grid, out);
    out += rows * grid.cols;
  }
  return map;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastcount, CPU, m) {
  m.impl("neighbour_distance_map", TORCH_BOX(&neighbour_distance_map));
}

}  // namespace fastcount
