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
#include "cpu/pool_cells.h"
#include "math/density_map.h"

namespace fastcount {
namespace {

using cpu::DensityGrid;
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

// Draws all sets on the batch of maps at `map`, [sets, 1, rows, cols], whatever they hold. Needs at
// least one point.
template <typename Acc, typename Out>
void draw(DensityPoints points, const std::vector<std::int64_t>& offsets, const DensityGrid& grid,
          double truncate, bool renormalize, Out* map) {
  const std::int64_t total = offsets.back();
  const std::int64_t align = grid.stride == 1 ? std::int64_t{64 / sizeof(Acc)} : 1;
  const auto splats = std::make_unique_for_overwrite<Splat[]>(
      static_cast<std::size_t>(std::min(total, kMostPoints)));
  const cpu::SplatMap<Acc, Out> out{map, grid.rows(), grid.cols(), cpu::Combine::kAdd,
                                    std::numeric_limits<Acc>::infinity()};
  for (std::int64_t begin = 0; begin < total;) {
    const DensityPoints rest{points.xy + 2 * begin, points.sigma + begin};
    const std::int64_t most = std::min(total - begin, kMostPoints);
    torch::stable::parallel_for(0, most, 256, [&](std::int64_t first, std::int64_t last) {
      cpu::plan_splats(rest, first, last, truncate, grid, align, splats.get());
    });
    const SplatPart part = place_weights(splats.get(), most);
    const auto weights =
        std::make_unique_for_overwrite<Acc[]>(static_cast<std::size_t>(part.weights));
    torch::stable::parallel_for(0, part.count, 256, [&](std::int64_t first, std::int64_t last) {
      cpu::fill_weights(rest, first, last, truncate, renormalize, grid, splats.get(),
                        weights.get());
    });
    draw_part(splats.get(), weights.get(), offsets, begin, part, out);
    begin += part.count;
  }
}

// The batch of maps of a grid from that of a finer one.
template <typename Out>
void pool(const Out* fine, const DensityGrid& finer, std::int64_t sets, const DensityGrid& grid,
          Out* map) {
  const std::int64_t factor = grid.stride / finer.stride;
  const std::int64_t rows = grid.rows();
  const std::int64_t grain = 131072 / (factor * finer.cols()) + 1;
  torch::stable::parallel_for(0, sets * rows, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t set = begin / rows; set * rows < end; ++set) {
      cpu::pool_cells(fine + set * finer.rows() * finer.cols(), finer.rows(), finer.cols(), factor,
                      std::max(begin - set * rows, std::int64_t{0}),
                      std::min(end - set * rows, rows), map + set * rows * grid.cols());
    }
  });
}

// One batch of maps for each of the grids, which are sorted by stride, in `dtype`, added up in Acc
// and held in Out. A map whose cells are whole cells of a finer one is made from that.
template <typename Acc, typename Out>
std::vector<Tensor> drawn(const Tensor& points, DensityPoints data,
                          const std::vector<std::int64_t>& offsets,
                          const std::vector<DensityGrid>& grids, double truncate, bool renormalize,
                          ScalarType dtype) {
  const ScalarType held = std::is_same_v<Out, float> ? ScalarType::Float : ScalarType::Double;
  const std::int64_t sets = static_cast<std::int64_t>(offsets.size()) - 1;
  const bool none = offsets.back() == 0;
  std::vector<Tensor> maps;
  for (std::size_t i = 0; i < grids.size(); ++i) {
    const DensityGrid& grid = grids[i];
    const std::vector<std::int64_t> shape{sets, 1, grid.rows(), grid.cols()};
    maps.push_back(none ? torch::stable::new_zeros(points, shape, held)
                        : torch::stable::new_empty(points, shape, held));
    Out* map = maps.back().mutable_data_ptr<Out>();
    const int source = source_of(grids, i);
    if (none) continue;
    if (source < 0) {
      draw<Acc>(data, offsets, grid, truncate, renormalize, map);
    } else {
      const auto finer = static_cast<std::size_t>(source);
      pool(maps[finer].const_data_ptr<Out>(), grids[finer], sets, grid, map);
    }
  }
  if (dtype != held) {
    for (Tensor& map : maps) map = torch::stable::to(map, dtype);
  }
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
  check_truncate(truncate);
  const Tensor xy = torch::stable::contiguous(points);
  const Tensor widths = torch::stable::contiguous(sigma);
  const DensityPoints data{xy.const_data_ptr<double>(), widths.const_data_ptr<double>()};
  check_finite(data.xy, 2 * offsets.back(), "points");
  check_positive(data.sigma, offsets.back(), "sigma");

  // A coarse map may be made from a finer one, so they come by rising stride.
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
