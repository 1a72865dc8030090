#include "cpu/gaussian_heatmap.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "bindings/torch/points.h"
#include "bindings/torch/splats.h"
#include "math/density_map.h"

namespace fastcount {
namespace {

using cpu::HeatmapGrid;
using cpu::HeatmapPoints;
using cpu::Splat;
using torch::headeronly::IntHeaderOnlyArrayRef;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Draws all sets on the batch of maps [sets, classes, rows, cols]. Needs a point.
template <typename Acc, typename Out>
void draw(HeatmapPoints points, const std::vector<std::int64_t>& offsets, HeatmapGrid grid,
          std::int64_t classes, double truncate, bool add, Out* map) {
  const cpu::SplatMap<Acc, Out> out{map, classes * grid.rows(), grid.cols(),
                                    add ? cpu::Combine::kAdd : cpu::Combine::kMax, Acc(1)};
  std::vector<Splat> splats;
  std::vector<Acc> weights;
  for (std::int64_t begin = 0; begin < offsets.back();) {
    const HeatmapPoints rest{points.xy + 2 * begin, points.sigma + begin,
                             points.labels == nullptr ? nullptr : points.labels + begin};
    const std::int64_t most = std::min(offsets.back() - begin, kMostPoints);
    splats.resize(static_cast<std::size_t>(most));
    cpu::plan_heatmap(rest, most, grid, truncate, 64 / static_cast<std::int64_t>(sizeof(Acc)),
                      splats.data());
    const SplatPart part = place_weights(splats.data(), most);
    weights.resize(static_cast<std::size_t>(part.weights));
    torch::stable::parallel_for(0, part.count, 256, [&](std::int64_t first, std::int64_t last) {
      cpu::fill_heatmap(rest, first, last, grid, truncate, splats.data(), weights.data());
    });
    draw_part(splats.data(), weights.data(), offsets, begin, part, out);
    begin += part.count;
  }
}

std::int64_t largest_set(const std::vector<std::int64_t>& offsets) {
  std::int64_t most = 0;
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
    most = std::max(most, offsets[i + 1] - offsets[i]);
  }
  return most;
}

Tensor gaussian_heatmap(const Tensor& points, const Tensor& sigma,
                        const std::optional<Tensor>& labels, IntHeaderOnlyArrayRef counts,
                        std::int64_t height, std::int64_t width, std::int64_t classes,
                        std::int64_t stride, double truncate, bool add, bool round_centres,
                        ScalarType dtype) {
  const std::vector<std::int64_t> offsets = check_point_sets(points, counts);
  check_sigma(sigma, points);
  check_picture(height, width);
  check_stride(stride);
  check_truncate(truncate);
  STD_TORCH_CHECK(classes >= 1, "num_classes must be at least 1, got ", classes);
  const Tensor xy = torch::stable::contiguous(points);
  const Tensor widths = torch::stable::contiguous(sigma);
  HeatmapPoints data{xy.const_data_ptr<double>(), widths.const_data_ptr<double>(), nullptr};
  check_finite(data.xy, 2 * offsets.back(), "points");
  check_positive(data.sigma, offsets.back(), "sigma");
  std::optional<Tensor> classes_of;
  if (labels.has_value()) {
    STD_TORCH_CHECK(labels->scalar_type() == ScalarType::Long && labels->dim() == 1 &&
                        labels->size(0) == offsets.back() && labels->is_cpu(),
                    "labels must be int64, one for each point, on the points' device");
    classes_of = torch::stable::contiguous(*labels);
    data.labels = classes_of->const_data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < offsets.back(); ++i) {
      STD_TORCH_CHECK(data.labels[i] >= 0 && data.labels[i] < classes, "labels must be in 0 .. ",
                      classes - 1, ", got ", data.labels[i]);
    }
  }

  const HeatmapGrid grid{height, width, stride, round_centres};
  const std::vector<std::int64_t> shape{static_cast<std::int64_t>(counts.size()), classes,
                                        grid.rows(), grid.cols()};
  if (offsets.back() == 0) return torch::stable::new_zeros(points, shape, dtype);
  // Sums of many small terms need float64.
  if (dtype == ScalarType::Float && (!add || largest_set(offsets) <= kMostFloatTerms)) {
    Tensor map = torch::stable::new_empty(points, shape, ScalarType::Float);
    draw<float>(data, offsets, grid, classes, truncate, add, map.mutable_data_ptr<float>());
    return map;
  }
  if (dtype == ScalarType::Float &&
      fits_one_part(offsets.back(), grid.rows(), grid.cols(),
                    [&](std::int64_t i) { return window_radius(data.sigma[i], truncate); })) {
    Tensor map = torch::stable::new_empty(points, shape, ScalarType::Float);
    draw<double>(data, offsets, grid, classes, truncate, add, map.mutable_data_ptr<float>());
    return map;
  }
  Tensor map = torch::stable::new_empty(points, shape, ScalarType::Double);
  draw<double>(data, offsets, grid, classes, truncate, add, map.mutable_data_ptr<double>());
  return torch::stable::to(map, dtype);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastcount, CPU, m) {
  m.impl("gaussian_heatmap", TORCH_BOX(&gaussian_heatmap));
}

}  // namespace fastcount
