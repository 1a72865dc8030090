#include "cuda/knn_distance.h"

#include <vector>

#include "bindings/torch/cuda/context.h"
#include "bindings/torch/points.h"

namespace fastcount {
namespace {

using torch::headeronly::IntHeaderOnlyArrayRef;
using torch::stable::Tensor;

// That the coordinates are finite was checked in Python: here it would mean waiting for the device.
Tensor knn_distance(const Tensor& points, IntHeaderOnlyArrayRef counts, std::int64_t k) {
  const std::vector<std::int64_t> offsets = check_point_sets(points, counts);
  STD_TORCH_CHECK(k >= 1, "k must be at least 1, got ", k);
  const CudaContext context(points);
  const Tensor held = aligned(points);
  Tensor distance = torch::stable::new_empty(points, {offsets.back()});
  Tensor scratch =
      torch::stable::new_empty(points, {cuda::knn_distance_scratch(offsets.back(), k)});
  check_cuda(cuda::knn_distance(held.const_data_ptr<double>(), offsets.data(),
                                static_cast<std::int64_t>(offsets.size()) - 1, k,
                                scratch.mutable_data_ptr<double>(),
                                distance.mutable_data_ptr<double>(), context.stream()),
             "knn_distance");
  return distance;
}

}  // namespace

FASTCOUNT_CUDA_LIBRARY(m) { m.impl("knn_distance", TORCH_BOX(&knn_distance)); }

}  // namespace fastcount
