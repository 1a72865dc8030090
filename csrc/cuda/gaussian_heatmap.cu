// Floor: 4 HWC / stride^2 bytes written and, for each point, (2r+1)^2 multiplications. A tile of
// 32 x 32 cells costs a point 64 exponentials for 1024 multiplications. Not yet measured on a GPU.
#include "cuda/gaussian_heatmap.h"

#include <cmath>
#include <limits>

#include "cuda/splat_tiles.h"
#include "math/gaussian_heatmap.h"

namespace fastcount::cuda {
namespace {

constexpr int kPrepareThreads = 256;

template <typename T>
struct HeatmapAxis {
  std::int32_t first;  // cells of the window inside the map
  std::int32_t last;
  std::int32_t cell;
  T fraction;  // of the centre from its cell

  __device__ __forceinline__ bool reaches(CellRange cells) const {
    return last >= cells.first && first <= cells.last;
  }
  __device__ __forceinline__ T weight(std::int64_t at, T rate) const {
    if (at < first || at > last) return T(0);
    const T offset = static_cast<T>(at - cell) - fraction;
    return exp(-offset * offset * rate);
  }
};

template <typename T>
struct HeatmapPoint {
  HeatmapAxis<T> down;
  HeatmapAxis<T> across;
  T rate;
  int label;

  __device__ __forceinline__ bool reaches(CellRange rows, CellRange cols, std::int64_t) const {
    return down.reaches(rows) && across.reaches(cols);
  }
  __device__ __forceinline__ T row_weight(std::int64_t cell, std::int64_t) const {
    return down.weight(cell, rate);
  }
  __device__ __forceinline__ T col_weight(std::int64_t cell, std::int64_t) const {
    return across.weight(cell, rate);
  }
};

template <typename T>
__device__ __forceinline__ HeatmapAxis<T> prepare_axis(double pixel, std::int64_t cells,
                                                       std::int64_t radius,
                                                       const HeatmapOptions& options) {
  const HeatmapCentre centre = heatmap_centre(pixel, options.stride, cells, options.round_centres);
  const Window window = window_inside(centre.cell, radius, cells);
  return {static_cast<std::int32_t>(window.first), static_cast<std::int32_t>(window.last),
          static_cast<std::int32_t>(centre.cell),
          static_cast<T>(centre.position - static_cast<double>(centre.cell))};
}

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
    point.down.last = static_cast<std::int32_t>(rows - 1);
    point.across.last = static_cast<std::int32_t>(cols - 1);
    point.rate = static_cast<T>(NAN);
  } else if (!inside_axis(x, options.width) || !inside_axis(y, options.height)) {
    point.down.last = -1;
    point.across.last = -1;
  } else {
    const std::int64_t radius = window_radius(width, options.truncate);
    point.down = prepare_axis<T>(y, rows, radius, options);
    point.across = prepare_axis<T>(x, cols, radius, options);
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
  const PlaneShape shape{(options.height - 1) / options.stride + 1,
                         (options.width - 1) / options.stride + 1, options.stride, options.classes};
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
