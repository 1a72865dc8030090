#include "cpu/density_map.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <vector>

#include "bindings/torch/points.h"

namespace fastcount {
namespace {

using cpu::DensityGrid;
using cpu::DensityPoints;
using cpu::Splat;
using torch::headeronly::IntHeaderOnlyArrayRef;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Float32 sums of up to this many equal terms are off by less than 1e-5 of their value.
constexpr std::int64_t kMostFloatTerms = 256;
// Bounds the memory held beside the map: weights and splats are made for a part of the points.
constexpr std::int64_t kMostPoints = 16384;
constexpr std::int64_t kMostWeights = std::int64_t{1} << 22;

// Adds all sets to the batch of maps at `map`, [sets, rows, cols], which holds zeros.
template <typename Acc>
void draw(DensityPoints points, const std::vector<std::int64_t>& offsets, DensityGrid grid,
          double truncate, bool renormalize, Acc* map) {
  const std::int64_t rows = grid.rows();
  const std::int64_t cols = grid.cols();
  const std::int64_t sets = static_cast<std::int64_t>(offsets.size()) - 1;
  const std::int64_t total = offsets.back();
  const std::int64_t align = grid.stride == 1 ? 64 / static_cast<std::int64_t>(sizeof(Acc)) : 1;
  std::vector<Splat> splats;
  std::vector<Acc> weights;
  for (std::int64_t begin = 0; begin < total;) {
    const std::int64_t most = std::min(total - begin, kMostPoints);
    splats.resize(static_cast<std::size_t>(most));
    const DensityPoints part{points.xy + 2 * begin, points.sigma + begin};
    cpu::plan_splats(part, 0, most, grid, truncate, align, splats.data());

    std::int64_t count = 0;
    std::int64_t held = 0;
    std::int64_t work = 0;
    for (; count < most; ++count) {
      Splat& splat = splats[static_cast<std::size_t>(count)];
      if (count > 0 && held + splat.weights() > kMostWeights) break;
      splat.row_weights = held;
      splat.col_weights = held + splat.rows;
      held += splat.weights();
      work += splat.rows * splat.cols;
    }
    weights.resize(static_cast<std::size_t>(held));
    torch::stable::parallel_for(0, count, 256, [&](std::int64_t first, std::int64_t last) {
      cpu::fill_weights(part, first, last, grid, truncate, renormalize, splats.data(),
                        weights.data());
    });

    // Rows of the batch for each task: few enough to stay in cache, enough to be worth a thread.
    const std::int64_t per_row = work / (sets * rows) + 1;
    const std::int64_t strip = std::max<std::int64_t>(
        1, std::min<std::int64_t>(131072 / cols + 1, sets * rows));
    const std::int64_t strips = (sets * rows - 1) / strip + 1;
    const std::int64_t grain = 65536 / (per_row * strip) + 1;
    torch::stable::parallel_for(0, strips, grain, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t at = first; at < last; ++at) {
        const std::int64_t low = at * strip;
        const std::int64_t high = std::min(low + strip, sets * rows);
        for (std::int64_t set = low / rows; set * rows < high; ++set) {
          const auto i = static_cast<std::size_t>(set);
          const std::int64_t from = std::max(offsets[i] - begin, std::int64_t{0});
          const std::int64_t to = std::min(offsets[i + 1] - begin, count);
          cpu::add_splats(splats.data(), from, to, weights.data(),
                          std::max<std::int64_t>(low - set * rows, 0),
                          std::min(high - set * rows, rows), cols, map + set * rows * cols);
        }
      }
    });
    begin += count;
  }
}

template <typename Acc>
Tensor drawn(const Tensor& points, DensityPoints data, const std::vector<std::int64_t>& offsets,
             DensityGrid grid, double truncate, bool renormalize, ScalarType acc) {
  const std::int64_t sets = static_cast<std::int64_t>(offsets.size()) - 1;
  Tensor map = torch::stable::new_zeros(points, {sets, 1, grid.rows(), grid.cols()}, acc);
  draw(data, offsets, grid, truncate, renormalize, map.mutable_data_ptr<Acc>());
  return map;
}

std::vector<Tensor> density_pyramid(const Tensor& points, const Tensor& sigma,
                                    IntHeaderOnlyArrayRef counts, std::int64_t height,
                                    std::int64_t width, IntHeaderOnlyArrayRef strides,
                                    double truncate, bool renormalize, ScalarType dtype) {
  const std::vector<std::int64_t> offsets = check_point_sets(points, counts);
  check_sigma(sigma, points);
  const Tensor xy = torch::stable::contiguous(points);
  const Tensor widths = torch::stable::contiguous(sigma);
  const DensityPoints data{xy.const_data_ptr<double>(), widths.const_data_ptr<double>()};
  check_finite(data.xy, 2 * offsets.back(), "points");
  check_positive(data.sigma, offsets.back(), "sigma");

  std::vector<Tensor> maps;
  for (const std::int64_t stride : strides) {
    const DensityGrid grid{height, width, stride};
    // Float32 is enough for a full-resolution map of separate points; coarse maps are small, and
    // crowds would lose small terms.
    bool single = dtype == ScalarType::Float && stride == 1;
    for (std::size_t i = 0; single && i + 1 < offsets.size(); ++i) {
      const std::int64_t count = offsets[i + 1] - offsets[i];
      const DensityPoints set{data.xy + 2 * offsets[i], data.sigma + offsets[i]};
      single = count <= kMostFloatTerms ||
               cpu::max_overlap(set, count, grid, truncate) <= kMostFloatTerms;
    }
    maps.push_back(single ? drawn<float>(points, data, offsets, grid, truncate, renormalize,
                                         ScalarType::Float)
                          : torch::stable::to(drawn<double>(points, data, offsets, grid, truncate,
                                                            renormalize, ScalarType::Double),
                                              dtype));
  }
  return maps;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastcount, CPU, m) {
  m.impl("density_pyramid", TORCH_BOX(&density_pyramid));
}

}  // namespace fastcount
