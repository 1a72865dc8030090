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
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// One picture; `inside` holds `count` points, all inside it.
template <typename Out>
void distances(const double* inside, std::int64_t count, std::int64_t k,
               const cpu::DistanceGrid& grid, Out* map) {
  if (count == 0) {
    std::fill(map, map + grid.rows * grid.cols, std::numeric_limits<Out>::infinity());
    return;
  }
  const std::int64_t nearest = std::min(k, count);
  const BuiltTree built(inside, count);
  torch::stable::parallel_for(0, grid.bands(), 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> scratch(static_cast<std::size_t>(cpu::neighbour_distance_scratch(nearest)));
    for (std::int64_t band = begin; band < end; ++band) {
      cpu::neighbour_distance_band(built.tree(), grid, nearest, band, scratch.data(), map);
    }
  });
}

// All maps of a batch, [sets, rows, cols].
template <typename Out>
void measure(const double* xy, const std::vector<std::int64_t>& offsets, std::int64_t height,
             std::int64_t width, std::int64_t k, const cpu::DistanceGrid& grid, Out* maps) {
  std::vector<double> inside;
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
    inside.clear();
    for (std::int64_t p = offsets[i]; p < offsets[i + 1]; ++p) {
      if (!inside_axis(xy[2 * p], width) || !inside_axis(xy[2 * p + 1], height)) continue;
      inside.insert(inside.end(), {xy[2 * p], xy[2 * p + 1]});
    }
    distances(inside.data(), static_cast<std::int64_t>(inside.size()) / 2, k, grid, maps);
    maps += grid.rows * grid.cols;
  }
}

Tensor neighbour_distance_map(const Tensor& points, IntHeaderOnlyArrayRef counts,
                              std::int64_t height, std::int64_t width, std::int64_t k,
                              std::int64_t stride, ScalarType dtype) {
  const std::vector<std::int64_t> offsets = check_point_sets(points, counts);
  check_picture(height, width);
  check_stride(stride);
  STD_TORCH_CHECK(k >= 1, "k must be at least 1, got ", k);
  const Tensor held = torch::stable::contiguous(points);
  const double* xy = held.const_data_ptr<double>();
  check_finite(xy, 2 * offsets.back(), "points");
  const cpu::DistanceGrid grid{(height - 1) / stride + 1, (width - 1) / stride + 1, stride};
  const std::int64_t sets = static_cast<std::int64_t>(offsets.size()) - 1;
  Tensor map = torch::stable::new_empty(points, {sets, 1, grid.rows, grid.cols}, dtype);
  if (dtype == ScalarType::Float) {
    measure(xy, offsets, height, width, k, grid, map.mutable_data_ptr<float>());
  } else {
    STD_TORCH_CHECK(dtype == ScalarType::Double, "dtype must be float32 or float64");
    measure(xy, offsets, height, width, k, grid, map.mutable_data_ptr<double>());
  }
  return map;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastcount, CPU, m) {
  m.impl("neighbour_distance_map", TORCH_BOX(&neighbour_distance_map));
}

}  // namespace fastcount
