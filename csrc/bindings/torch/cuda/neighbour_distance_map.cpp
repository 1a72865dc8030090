#include "cuda/neighbour_distance_map.h"

#include <vector>

#include "bindings/torch/cuda/context.h"
#include "bindings/torch/points.h"

namespace fastcount {
namespace {

using torch::headeronly::IntHeaderOnlyArrayRef;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// That the coordinates are finite was checked in Python: here it would mean waiting for the device.
Tensor neighbour_distance_map(const Tensor& points, IntHeaderOnlyArrayRef counts,
                              std::int64_t height, std::int64_t width, std::int64_t k,
                              std::int64_t stride, ScalarType dtype) {
  const std::vector<std::int64_t> offsets = check_point_sets(points, counts);
  check_picture(height, width);
  check_stride(stride);
  STD_TORCH_CHECK(k >= 1, "k must be at least 1, got ", k);
  const CudaContext context(points);
  const Tensor held = aligned(points);
  const std::int64_t sets = static_cast<std::int64_t>(offsets.size()) - 1;
  Tensor map = torch::stable::new_empty(
      points, {sets, 1, (height - 1) / stride + 1, (width - 1) / stride + 1}, dtype);
  const auto measure = [&](auto* cells) {
    return cuda::neighbour_distance_map(held.const_data_ptr<double>(), offsets.data(), sets, height,
                                        width, k, stride, cells, context.stream());
  };
  if (dtype == ScalarType::Float) {
    check_cuda(measure(map.mutable_data_ptr<float>()), "neighbour_distance_map");
  } else {
    STD_TORCH_CHECK(dtype == ScalarType::Double, "dtype must be float32 or float64");
    check_cuda(measure(map.mutable_data_ptr<double>()), "neighbour_distance_map");
  }
  return map;
}

}  // namespace

FASTCOUNT_CUDA_LIBRARY(m) { m.impl("neighbour_distance_map", TORCH_BOX(&neighbour_distance_map)); }

}  // namespace fastcount
