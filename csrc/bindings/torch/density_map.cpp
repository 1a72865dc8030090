#include "cpu/density_map.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <type_traits>
#include <vector>

#include "bindings/torch/points.h"
#include "bindings/torch/splats.h"
#include "math/density_map.h"

namespace fastcount {
namespace {

using cpu::DensityGrid;
using cpu::DensityLevel;
using cpu::DensityPoints;
using cpu::Splat;
using torch::headeronly::IntHeaderOnlyArrayRef;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// The first level whose stride divides this one's, the coarsest of them; -1 where there is none.
int source_of(const std::vector<DensityGrid>& grids, std::size_t level) {
  for (std::size_t i = level; i-- > 0;) {
    if (grids[level].stride % grids[i].stride == 0) return static_cast<int>(i);
  }
  return -1;
}

// Draws all sets on the batch of maps at maps[level], [sets, 1, rows, cols], whatever they hold.
// `grids` are sorted by stride. Needs at least one point.
template <typename Acc, typename Out>
void draw(DensityPoints points, const std::vector<std::int64_t>& offsets,
          const std::vector<DensityGrid>& grids, double truncate, bool renormalize,
          const std::vector<Out*>& maps) {
  const std::size_t level_count = grids.size();
  const std::int64_t total = offsets.back();
  const std::int64_t room = std::min(total, kMostPoints);
  std::vector<std::unique_ptr<Splat[]>> splats;
  std::vector<DensityLevel<Acc>> levels;
  for (std::size_t j = 0; j < level_count; ++j) {
    splats.push_back(std::make_unique_for_overwrite<Splat[]>(static_cast<std::size_t>(room)));
    const int source = source_of(grids, j);
    const std::int64_t factor =
        source < 0 ? 0 : grids[j].stride / grids[static_cast<std::size_t>(source)].stride;
    const std::int64_t align = grids[j].stride == 1 ? std::int64_t{64 / sizeof(Acc)} : 1;
    levels.push_back({grids[j], source, factor, align, splats[j].get(), nullptr});
  }
  std::vector<std::unique_ptr<Acc[]>> weights(level_count);
  std::vector<SplatPart> parts(level_count);
  const int levels_held = static_cast<int>(level_count);
  for (std::int64_t begin = 0; begin < total;) {
    const DensityPoints part{points.xy + 2 * begin, points.sigma + begin};
    std::int64_t count = std::min(total - begin, kMostPoints);
    torch::stable::parallel_for(0, count, 256, [&](std::int64_t first, std::int64_t last) {
      cpu::plan_splats(part, first, last, truncate, levels.data(), levels_held);
    });
    for (std::size_t j = 0; j < level_count; ++j) {
      parts[j] = place_weights(splats[j].get(), count);
      count = parts[j].count;
    }
    for (std::size_t j = 0; j < level_count; ++j) {
      const auto need = static_cast<std::size_t>(parts[j].weights);
      weights[j] = std::make_unique_for_overwrite<Acc[]>(need);
      levels[j].weights = weights[j].get();
    }
    torch::stable::parallel_for(0, count, 256, [&](std::int64_t first, std::int64_t last) {
      cpu::fill_weights(part, first, last, truncate, renormalize, levels.data(), levels_held);
    });
    for (std::size_t j = 0; j < level_count; ++j) {
      parts[j].count = count;
      draw_part(splats[j].get(), weights[j].get(), offsets, begin, parts[j],
                cpu::SplatMap<Acc, Out>{maps[j], grids[j].rows(), grids[j].cols(),
                                        cpu::Combine::kAdd, std::numeric_limits<Acc>::infinity()});
    }
    begin += count;
  }
}

// One batch of maps for each grid, in `dtype`, added up in Acc and held in Out.
template <typename Acc, typename Out>
std::vector<Tensor> drawn(const Tensor& points, DensityPoints data,
                          const std::vector<std::int64_t>& offsets,
                          const std::vector<DensityGrid>& grids, double truncate, bool renormalize,
                          ScalarType dtype) {
  const ScalarType held = std::is_same_v<Out, float> ? ScalarType::Float : ScalarType::Double;
  const std::int64_t sets = static_cast<std::int64_t>(offsets.size()) - 1;
  const bool none = offsets.back() == 0;
  std::vector<Tensor> maps;
  std::vector<Out*> pointers;
  for (const DensityGrid& grid : grids) {
    const std::vector<std::int64_t> shape{sets, 1, grid.rows(), grid.cols()};
    maps.push_back(none ? torch::stable::new_zeros(points, shape, held)
                        : torch::stable::new_empty(points, shape, held));
    pointers.push_back(maps.back().mutable_data_ptr<Out>());
  }
  if (!none && !grids.empty()) {
    draw<Acc>(data, offsets, grids, truncate, renormalize, pointers);
  }
  for (Tensor& map : maps) map = torch::stable::to(map, dtype);
  return maps;
}

// Float32 is enough for a full-resolution map of points that stand apart. Elsewhere float64 adds
// up: coarse maps are small, and crowds would lose small terms.
bool float_is_enough(DensityPoints data, const std::vector<std::int64_t>& offsets, DensityGrid grid,
                     double truncate) {
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
    const std::int64_t count = offsets[i + 1] - offsets[i];
    const DensityPoints set{data.xy + 2 * offsets[i], data.sigma + offsets[i]};
    if (count > kMostFloatTerms && cpu::max_overlap(set, count, grid, truncate) > kMostFloatTerms) {
      return false;
    }
  }
  return true;
}

std::vector<Tensor> density_pyramid(const Tensor& points, const Tensor& sigma,
                                    IntHeaderOnlyArrayRef counts, std::int64_t height,
                                    std::int64_t width, IntHeaderOnlyArrayRef strides,
                                    double truncate, bool renormalize, ScalarType dtype) {
  const std::vector<std::int64_t> offsets = check_point_sets(points, counts);
  check_sigma(sigma, points);
  check_picture(height, width);
  const Tensor xy = torch::stable::contiguous(points);
  const Tensor widths = torch::stable::contiguous(sigma);
  const DensityPoints data{xy.const_data_ptr<double>(), widths.const_data_ptr<double>()};
  check_finite(data.xy, 2 * offsets.back(), "points");
  check_positive(data.sigma, offsets.back(), "sigma");

  // A coarse level adds up the weights of a finer one, so the levels are drawn by rising stride.
  std::vector<std::size_t> order(strides.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return strides[a] < strides[b]; });
  std::vector<DensityGrid> full;
  std::vector<DensityGrid> coarse;
  for (const std::size_t i : order) {
    check_stride(strides[i]);
    const DensityGrid grid{height, width, strides[i]};
    const bool single = dtype == ScalarType::Float && strides[i] == 1 &&
                        (!full.empty() || float_is_enough(data, offsets, grid, truncate));
    (single ? full : coarse).push_back(grid);
  }
  std::vector<Tensor> maps =
      drawn<float, float>(points, data, offsets, full, truncate, renormalize, dtype);
  const bool at_once = dtype == ScalarType::Float &&
                       fits_one_part(offsets.back(), height, width, [&](std::int64_t i) {
                         return window_radius(data.sigma[i], truncate);
                       });
  const auto in_doubles = at_once ? drawn<double, float> : drawn<double, double>;
  for (Tensor& map : in_doubles(points, data, offsets, coarse, truncate, renormalize, dtype)) {
    maps.push_back(map);
  }
  std::vector<Tensor> asked(maps);
  for (std::size_t i = 0; i < order.size(); ++i) asked[order[i]] = maps[i];
  return asked;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastcount, CPU, m) {
  m.impl("density_pyramid", TORCH_BOX(&density_pyramid));
}

}  // namespace fastcount
