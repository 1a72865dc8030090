// Floor: 4 HWC / stride^2 bytes written and, for each point, (2r+1)^2 multiplications. A tile of
// 32 x 128 cells costs a point 160 exponentials for 4096 multiplications. On an H200, 64 maps of
// 1024 x 1024 with 1,000 points of sigma 2 each: 0.151 ms, 42 % of what a copy moves (measured with
// twice the barriers a tile and a maximum of two instructions, which lost NaN; not since).
#include "cuda/gaussian_heatmap.h"

#include <cmath>
#include <limits>

#include "cuda/splat_tiles.h"
#include "math/gaussian_heatmap.h"

namespace fastcount::cuda {
namespace {

constexpr int kPrepareThreads = 256;

template <typename T>
struct HeatmapPoint {
  PointBox box;  // cells of the window inside the map
  std::int32_t row;
  std::int32_t col;
  T down;  // of the centre from its cell
  T across;
  T rate;
  std::int32_t label;

  __device__ __forceinline__ bool is_on(int plane) const { return label == plane; }
  __device__ __forceinline__ T row_weight(int at, int) const {
    return weight(at, box.top, box.bottom, row, down);
  }
  __device__ __forceinline__ T col_weight(int at, int) const {
    return weight(at, box.left, box.right, col, across);
  }
  __device__ __forceinline__ T weight(int at, int first, int last, int cell, T fraction) const {
    if (at < first || at > last) return T(0);
    return heatmap_weight(static_cast<T>(at - cell) - fraction, rate);
  }
};

template <typename T>
__global__ void __launch_bounds__(kPrepareThreads)
    prepare(const double* xy, const double* sigma, const std::int64_t* labels, std::int64_t count,
            HeatmapOptions options, HeatmapPoint<T>* prepared) {
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * kPrepareThreads + threadIdx.x;
  if (index >= count) return;
  const double x = xy[2 * index];
  const double y = xy[2 * index + 1];
  const double width = sigma[index];
  const std::int64_t rows = (options.height - 1) / options.stride + 1;
  const std::int64_t cols = (options.width - 1) / options.stride + 1;
  HeatmapPoint<T> point{};
  // A label out of range, which Python refuses where it can look, draws nothing.
  const std::int64_t label = labels == nullptr ? 0 : labels[index];
  point.label = label >= 0 && label < options.classes ? static_cast<int>(label) : -1;
  if (!is_finite(x) || !is_finite(y) || !is_finite(width) || width <= 0.0) {
    // Python refuses such a point; in a compiled graph, where it cannot look, the map becomes NaN.
    point.box = {0, static_cast<std::int32_t>(rows - 1), 0, static_cast<std::int32_t>(cols - 1)};
    point.rate = static_cast<T>(NAN);
  } else if (!inside_axis(x, options.width) || !inside_axis(y, options.height)) {
    point.box = {0, -1, 0, -1};
  } else {
    const std::int64_t radius = window_radius(width, options.truncate);
    const HeatmapCentre centre_y = heatmap_centre(y, options.stride, rows, options.round_centres);
    const HeatmapCentre centre_x = heatmap_centre(x, options.stride, cols, options.round_centres);
    const Window down = window_inside(centre_y.cell, radius, rows);
    const Window across = window_inside(centre_x.cell, radius, cols);
    point.box = {static_cast<std::int32_t>(down.first), static_cast<std::int32_t>(down.last),
                 static_cast<std::int32_t>(across.first), static_cast<std::int32_t>(across.last)};
    point.row = static_cast<std::int32_t>(centre_y.cell);
    point.col = static_cast<std::int32_t>(centre_x.cell);
    point.down = static_cast<T>(centre_y.position - static_cast<double>(centre_y.cell));
    point.across = static_cast<T>(centre_x.position - static_cast<double>(centre_x.cell));
    const double rate = gaussian_rate(width);
    point.rate = static_cast<T>(rate < 1e30 ? rate : 1e30);
  }
  prepared[index] = point;
}

}  // namespace

std::int64_t heatmap_prepared_bytes(std::int64_t points) {
  return points * static_cast<std::int64_t>(sizeof(HeatmapPoint<double>));
}

template <typename T>
cudaError_t gaussian_heatmap(const double* xy, const double* sigma, const std::int64_t* labels,
                             const std::int64_t* offsets, std::int64_t sets, HeatmapOptions options,
                             void* prepared, T* maps, cudaStream_t stream) {
  auto* points = static_cast<HeatmapPoint<T>*>(prepared);
  const std::int64_t count = offsets[sets];
  if (count > 0) {
    const cudaError_t error =
        LAUNCH((prepare<T>), blocks_across(count, kPrepareThreads), kPrepareThreads, 0, stream, xy,
               sigma, labels, count, options, points);
    if (error != cudaSuccess) return error;
  }
  const PlaneShape shape{static_cast<int>((options.height - 1) / options.stride + 1),
                         static_cast<int>((options.width - 1) / options.stride + 1), 1, 1,
                         options.classes};
  return options.add
             ? draw_all<T, HeatmapPoint<T>, false>(points, offsets, sets, shape, T(1), maps, stream)
             : draw_all<T, HeatmapPoint<T>, true>(points, offsets, sets, shape, T(1), maps, stream);
}

#define FASTCOUNT_INSTANTIATE(T)                                                              \
  template cudaError_t gaussian_heatmap<T>(const double*, const double*, const std::int64_t*, \
                                           const std::int64_t*, std::int64_t, HeatmapOptions, \
                                           void*, T*, cudaStream_t);
FASTCOUNT_INSTANTIATE(float)
FASTCOUNT_INSTANTIATE(double)

}  // namespace fastcount::cuda
