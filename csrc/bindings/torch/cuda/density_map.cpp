#include "cuda/density_map.h"

#include <vector>

#include "bindings/torch/cuda/context.h"
#include "bindings/torch/points.h"

namespace fastcount {
namespace {

using torch::headeronly::IntHeaderOnlyArrayRef;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

template <typename T>
void draw(const Tensor& xy, const Tensor& sigma, const std::vector<std::int64_t>& offsets,
          cuda::DensityPicture picture, IntHeaderOnlyArrayRef strides, std::vector<Tensor>& maps,
          cudaStream_t stream) {
  const std::int64_t sets = static_cast<std::int64_t>(offsets.size()) - 1;
  const std::int64_t bytes = cuda::density_prepared_bytes(offsets.back());
  Tensor prepared = torch::stable::new_empty(xy, {bytes}, ScalarType::Byte);
  check_cuda(cuda::prepare_density<T>(xy.const_data_ptr<double>(), sigma.const_data_ptr<double>(),
                                      offsets.back(), picture, prepared.mutable_data_ptr(), stream),
             "density_map");
  for (std::size_t i = 0; i < maps.size(); ++i) {
    if (maps[i].numel() == 0) continue;
    check_cuda(cuda::draw_density<T>(prepared.const_data_ptr(), offsets.data(), sets, picture,
                                     strides[i], maps[i].mutable_data_ptr<T>(), stream),
               "density_map");
  }
}

// Values are checked in Python: here it would mean waiting for the device.
std::vector<Tensor> density_pyramid(const Tensor& points, const Tensor& sigma,
                                    IntHeaderOnlyArrayRef counts, std::int64_t height,
                                    std::int64_t width, IntHeaderOnlyArrayRef strides,
                                    double truncate, bool renormalize, ScalarType dtype) {
  const std::vector<std::int64_t> offsets = check_point_sets(points, counts);
  check_sigma(sigma, points);
  check_picture(height, width);
  check_truncate(truncate);
  const CudaContext context(points);
  const Tensor xy = aligned(points);
  const Tensor widths = aligned(sigma);
  const cuda::DensityPicture picture{height, width, truncate, renormalize};
  std::vector<Tensor> maps;
  for (const std::int64_t stride : strides) {
    check_stride(stride);
    maps.push_back(torch::stable::new_empty(points,
                                            {static_cast<std::int64_t>(counts.size()), 1,
                                             (height - 1) / stride + 1, (width - 1) / stride + 1},
                                            dtype));
  }
  if (dtype == ScalarType::Float) {
    draw<float>(xy, widths, offsets, picture, strides, maps, context.stream());
  } else {
    STD_TORCH_CHECK(dtype == ScalarType::Double, "dtype must be float32 or float64");
    draw<double>(xy, widths, offsets, picture, strides, maps, context.stream());
  }
  return maps;
}

}  // namespace

FASTCOUNT_CUDA_LIBRARY(m) { m.impl("density_pyramid", TORCH_BOX(&density_pyramid)); }

}  // namespace fastcount
