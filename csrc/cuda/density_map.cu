// Floor, stride 1: 4 HW bytes written and, for each point, (2r+1)^2 multiply-adds. A tile of
// 32 x 32 cells costs a point 64 exponentials for 1024 multiply-adds.
//
// The sums that divide the weights are taken once for a point, by one warp, in float64; the weights
// themselves are computed in the type of the map, tile by tile. Not yet measured on a GPU.
#include "cuda/density_map.h"

#include <cmath>
#include <limits>

#include "cuda/splat_tiles.h"
#include "math/density_map.h"

namespace fastcount::cuda {
namespace {

constexpr int kPrepareThreads = 256;

// One axis of a point: weight of pixel k is scale * gaussian(k - pixel - fraction).
template <typename T>
struct DensityAxis {
  std::int32_t first;  // pixels of the window inside the picture
  std::int32_t last;
  std::int32_t pixel;
  T fraction;
  T scale;

  __device__ __forceinline__ bool reaches(CellRange cells, std::int64_t stride) const {
    return last >= cells.first * stride && first < (cells.last + 1) * stride;
  }

  __device__ __forceinline__ T weight(std::int64_t cell, std::int64_t stride, T rate) const {
    const std::int64_t from = max(cell * stride, static_cast<std::int64_t>(first));
    const std::int64_t to = min((cell + 1) * stride - 1, static_cast<std::int64_t>(last));
    T sum = 0;
    for (std::int64_t k = from; k <= to; ++k) {
      const T offset = static_cast<T>(k - pixel) - fraction;
      // (offset - fraction)(offset + fraction) is offset^2 less that of the nearest pixel.
      sum += exp(-(offset - fraction) * (offset + fraction) * rate);
    }
    return sum * scale;
  }
};

template <typename T>
struct DensityPoint {
  DensityAxis<T> down;
  DensityAxis<T> across;
  T rate;
  int label;

  __device__ __forceinline__ bool reaches(CellRange rows, CellRange cols,
                                          std::int64_t stride) const {
    return down.reaches(rows, stride) && across.reaches(cols, stride);
  }
  __device__ __forceinline__ T row_weight(std::int64_t cell, std::int64_t stride) const {
    return down.weight(cell, stride, rate);
  }
  __device__ __forceinline__ T col_weight(std::int64_t cell, std::int64_t stride) const {
    return across.weight(cell, stride, rate);
  }
};

// The whole warp works on one axis; every lane returns the same.
template <typename T>
__device__ DensityAxis<T> prepare_axis(double position, double sigma, std::int64_t size,
                                       DensityPicture picture, int lane) {
  const std::int64_t pixel = nearest_pixel(position, size);
  const std::int64_t radius = window_radius(sigma, picture.truncate);
  const Window window = window_inside(pixel, radius, size);
  const double fraction = position - static_cast<double>(pixel);
  const double rate = gaussian_rate(sigma);
  double total = 0.0;
  if (picture.renormalize || window.last - window.first == 2 * radius) {
    for (std::int64_t k = window.first + lane; k <= window.last; k += 32) {
      total += gaussian_weight(static_cast<double>(k - pixel) - fraction, fraction, rate);
    }
    for (int step = 16; step > 0; step /= 2) total += __shfl_xor_sync(0xFFFFFFFFu, total, step);
  } else {
    total = full_window_sum(fraction, sigma, radius);
  }
  return {static_cast<std::int32_t>(window.first), static_cast<std::int32_t>(window.last),
          static_cast<std::int32_t>(pixel), static_cast<T>(fraction), static_cast<T>(1.0 / total)};
}

template <typename T>
__global__ void __launch_bounds__(kPrepareThreads)
    prepare(const double* xy, const double* sigma, std::int64_t count, DensityPicture picture,
            DensityPoint<T>* prepared) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int64_t index =
      static_cast<std::int64_t>(blockIdx.x) * (kPrepareThreads / 32) + threadIdx.x / 32;
  if (index >= count) return;
  const double x = xy[2 * index];
  const double y = xy[2 * index + 1];
  const double width = sigma[index];
  DensityPoint<T> point{};
  if (!is_finite(x) || !is_finite(y) || !is_finite(width) || width <= 0.0) {
    // Python refuses such a point; in a compiled graph, where it cannot look, the map becomes NaN.
    const T nan = static_cast<T>(NAN);
    point.down = {0, static_cast<std::int32_t>(picture.height - 1), 0, T(0), nan};
    point.across = {0, static_cast<std::int32_t>(picture.width - 1), 0, T(0), nan};
  } else if (!inside_axis(x, picture.width) || !inside_axis(y, picture.height)) {
    point.down.last = -1;
    point.across.last = -1;
  } else {
    point.down = prepare_axis<T>(y, width, picture.height, picture, lane);
    point.across = prepare_axis<T>(x, width, picture.width, picture, lane);
    const double rate = gaussian_rate(width);
    point.rate = static_cast<T>(rate < 1e30 ? rate : 1e30);
  }
  if (lane == 0) prepared[index] = point;
}

}  // namespace

std::int64_t density_prepared_bytes(std::int64_t points) {
  return points * static_cast<std::int64_t>(sizeof(DensityPoint<double>));
}

template <typename T>
cudaError_t prepare_density(const double* xy, const double* sigma, std::int64_t count,
                            DensityPicture picture, void* prepared, cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  return LAUNCH((prepare<T>), blocks_across(count, kPrepareThreads / 32), kPrepareThreads, 0,
                stream, xy, sigma, count, picture, static_cast<DensityPoint<T>*>(prepared));
}

template <typename T>
cudaError_t draw_density(const void* prepared, const std::int64_t* offsets, std::int64_t sets,
                         DensityPicture picture, std::int64_t stride, T* map, cudaStream_t stream) {
  const PlaneShape shape{(picture.height - 1) / stride + 1, (picture.width - 1) / stride + 1,
                         stride, 1};
  return draw_all<T, DensityPoint<T>, false>(static_cast<const DensityPoint<T>*>(prepared), offsets,
                                             sets, shape, std::numeric_limits<T>::infinity(), map,
                                             stream);
}

#define FASTCOUNT_INSTANTIATE(T)                                                       \
  template cudaError_t prepare_density<T>(const double*, const double*, std::int64_t,  \
                                          DensityPicture, void*, cudaStream_t);        \
  template cudaError_t draw_density<T>(const void*, const std::int64_t*, std::int64_t, \
                                       DensityPicture, std::int64_t, T*, cudaStream_t);
FASTCOUNT_INSTANTIATE(float)
FASTCOUNT_INSTANTIATE(double)

}  // namespace fastcount::cuda
