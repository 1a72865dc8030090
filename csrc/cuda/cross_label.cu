// Floor: 4 HW bytes of zeros written (by the driver's own memset), 16 read and 20 written a point.
//
// Two points may write the same pixel; both write 1, so it does not matter who is last. On an
// H200, 64 maps of 1024 x 1024 with 1,000 points each: 0.091 ms, 70 % of what a copy moves.
#include "cuda/cross_label.h"

#include "cuda/point_sets.h"
#include "math/density_map.h"

namespace fastcount::cuda {
namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads)
    draw_crosses(const double2* points, SetTable table, std::int64_t height, std::int64_t width,
                 float* maps) {
  const int set = static_cast<int>(blockIdx.y);
  const std::int64_t i =
      table.starts[set] + static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= table.starts[set + 1]) return;
  const double2 point = points[i];
  if (!inside_axis(point.x, width) || !inside_axis(point.y, height)) return;
  const std::int64_t x = nearest_pixel(point.x, width);
  const std::int64_t y = nearest_pixel(point.y, height);
  float* centre = maps + ((table.first_set + set) * height + y) * width + x;
  centre[0] = 1.0f;
  if (x > 0) centre[-1] = 1.0f;
  if (x < width - 1) centre[1] = 1.0f;
  if (y > 0) centre[-width] = 1.0f;
  if (y < height - 1) centre[width] = 1.0f;
}

}  // namespace

cudaError_t cross_label(const double* points, const std::int64_t* offsets, std::int64_t sets,
                        std::int64_t height, std::int64_t width, float* map, cudaStream_t stream) {
  if (sets == 0) return cudaSuccess;  // no map: a null pointer
  const auto* pairs = reinterpret_cast<const double2*>(points);
  const cudaError_t error = cudaMemsetAsync(
      map, 0, sizeof(float) * static_cast<std::size_t>(sets * height * width), stream);
  if (error != cudaSuccess) return error;
  return for_each_table(
      offsets, sets, cudaSuccess, [&](const SetTable& table, std::int64_t largest) -> cudaError_t {
        if (largest == 0) return cudaSuccess;
        const dim3 grid(blocks_across(largest, kThreads), static_cast<unsigned>(table.sets));
        return LAUNCH(draw_crosses, grid, kThreads, 0, stream, pairs, table, height, width, map);
      });
}

}  // namespace fastcount::cuda
