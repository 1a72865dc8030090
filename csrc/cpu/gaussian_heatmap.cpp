#include "cpu/gaussian_heatmap.h"

#include <algorithm>

#include "cpu/multiversion.h"
#include "math/gaussian_heatmap.h"

namespace fastcount::cpu {
namespace {

// `count` weights from cell `first` on, 0 outside the window.
template <typename Acc>
FASTCOUNT_INLINE void fill_axis(HeatmapCentre centre, double sigma, Window window,
                                std::int64_t first, std::int64_t count, Acc* weights) {
  const double rate = gaussian_rate(sigma);
  const double offset = static_cast<double>(first) - centre.position;
  for (std::int64_t i = 0; i < count; ++i) {
    weights[i] = static_cast<Acc>(heatmap_weight(offset + static_cast<double>(i), rate));
  }
  std::fill(weights, weights + (window.first - first), Acc(0));
  std::fill(weights + (window.last + 1 - first), weights + count, Acc(0));
}

FASTCOUNT_MULTIVERSION
void axis(HeatmapCentre centre, double sigma, Window window, std::int64_t first, std::int64_t count,
          float* weights) {
  fill_axis(centre, sigma, window, first, count, weights);
}

FASTCOUNT_MULTIVERSION
void axis(HeatmapCentre centre, double sigma, Window window, std::int64_t first, std::int64_t count,
          double* weights) {
  fill_axis(centre, sigma, window, first, count, weights);
}

}  // namespace

void plan_heatmap(HeatmapPoints points, std::int64_t count, HeatmapGrid grid, double truncate,
                  std::int64_t align, Splat* splats) {
  const std::int64_t rows = grid.rows();
  const std::int64_t cols = grid.cols();
  for (std::int64_t i = 0; i < count; ++i) {
    const double x = points.xy[2 * i];
    const double y = points.xy[2 * i + 1];
    Splat& splat = splats[i];
    splat = {};
    if (!inside_axis(x, grid.width) || !inside_axis(y, grid.height)) continue;
    const std::int64_t radius = window_radius(points.sigma[i], truncate);
    const Window down =
        window_inside(heatmap_centre(y, grid.stride, rows, grid.round_centres).cell, radius, rows);
    const Window across =
        window_inside(heatmap_centre(x, grid.stride, cols, grid.round_centres).cell, radius, cols);
    const std::int64_t label = points.labels == nullptr ? 0 : points.labels[i];
    splat.first_row = label * rows + down.first;
    splat.rows = down.last - down.first + 1;
    splat.first_col = across.first;
    splat.cols = across.last - across.first + 1;
    align_columns(splat, align, cols);
  }
}

template <typename Acc>
void fill_heatmap(HeatmapPoints points, std::int64_t begin, std::int64_t end, HeatmapGrid grid,
                  double truncate, const Splat* splats, Acc* weights) {
  const std::int64_t rows = grid.rows();
  const std::int64_t cols = grid.cols();
  for (std::int64_t i = begin; i < end; ++i) {
    const Splat& splat = splats[i];
    if (splat.rows == 0) continue;
    const double sigma = points.sigma[i];
    const std::int64_t radius = window_radius(sigma, truncate);
    const HeatmapCentre y =
        heatmap_centre(points.xy[2 * i + 1], grid.stride, rows, grid.round_centres);
    const Window down = window_inside(y.cell, radius, rows);
    axis(y, sigma, down, down.first, splat.rows, weights + splat.row_weights);
    const HeatmapCentre x = heatmap_centre(points.xy[2 * i], grid.stride, cols, grid.round_centres);
    axis(x, sigma, window_inside(x.cell, radius, cols), splat.first_col, splat.cols,
         weights + splat.col_weights);
  }
}

template void fill_heatmap<float>(HeatmapPoints, std::int64_t, std::int64_t, HeatmapGrid, double,
                                  const Splat*, float*);
template void fill_heatmap<double>(HeatmapPoints, std::int64_t, std::int64_t, HeatmapGrid, double,
                                   const Splat*, double*);

}  // namespace fastcount::cpu
