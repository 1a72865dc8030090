#include "cuda/cross_label.h"

#include <vector>

#include "bindings/torch/cuda/context.h"
#include "bindings/torch/points.h"

namespace fastcount {
namespace {

using torch::headeronly::IntHeaderOnlyArrayRef;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// That the coordinates are finite was checked in Python: here it would mean waiting for the device.
Tensor cross_label(const Tensor& points, IntHeaderOnlyArrayRef counts, std::int64_t height,
                   std::int64_t width) {
  const std::vector<std::int64_t> offsets = check_point_sets(points, counts);
  check_picture(height, width);
  const CudaContext context(points);
  const Tensor held = aligned(points);
  const std::int64_t sets = static_cast<std::int64_t>(offsets.size()) - 1;
  Tensor map = torch::stable::new_empty(points, {sets, 1, height, width}, ScalarType::Float);
  check_cuda(cuda::cross_label(held.const_data_ptr<double>(), offsets.data(), sets, height, width,
                               map.mutable_data_ptr<float>(), context.stream()),
             "cross_label");
  return map;
}

}  // namespace

FASTCOUNT_CUDA_LIBRARY(m) { m.impl("cross_label", TORCH_BOX(&cross_label)); }

}  // namespace fastcount
