#include "cuda/gaussian_heatmap.h"

#include <climits>
#include <optional>
#include <vector>

#include "bindings/torch/cuda/context.h"
#include "bindings/torch/points.h"

namespace fastcount {
namespace {

using torch::headeronly::IntHeaderOnlyArrayRef;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Values are checked in Python: here it would mean waiting for the device.
Tensor gaussian_heatmap(const Tensor& points, const Tensor& sigma,
                        const std::optional<Tensor>& labels, IntHeaderOnlyArrayRef counts,
                        std::int64_t height, std::int64_t width, std::int64_t classes,
                        std::int64_t stride, double truncate, bool add, bool round_centres,
                        ScalarType dtype) {
  const std::vector<std::int64_t> offsets = check_point_sets(points, counts);
  check_sigma(sigma, points);
  check_picture(height, width);
  check_stride(stride);
  check_truncate(truncate);
  STD_TORCH_CHECK(classes >= 1 && classes <= INT_MAX, "num_classes must be 1 .. 2^31 - 1, got ",
                  classes);
  const CudaContext context(points);
  const Tensor xy = aligned(points);
  const Tensor widths = aligned(sigma);
  std::optional<Tensor> held;
  if (labels.has_value()) {
    STD_TORCH_CHECK(labels->scalar_type() == ScalarType::Long && labels->dim() == 1 &&
                        labels->size(0) == offsets.back(),
                    "labels must be int64, one for each point");
    check_same_device(*labels, "labels", points, "points");
    held = aligned(*labels);
  }
  const std::int64_t* classes_of = held ? held->const_data_ptr<std::int64_t>() : nullptr;
  const std::int64_t sets = static_cast<std::int64_t>(counts.size());
  const cuda::HeatmapOptions options{height,   width, stride,       static_cast<int>(classes),
                                     truncate, add,   round_centres};
  Tensor prepared = torch::stable::new_empty(points, {cuda::heatmap_prepared_bytes(offsets.back())},
                                             ScalarType::Byte);
  Tensor maps = torch::stable::new_empty(
      points, {sets, classes, (height - 1) / stride + 1, (width - 1) / stride + 1}, dtype);
  const auto draw = [&](auto* cells) {
    return cuda::gaussian_heatmap(xy.const_data_ptr<double>(), widths.const_data_ptr<double>(),
                                  classes_of, offsets.data(), sets, options,
                                  prepared.mutable_data_ptr(), cells, context.stream());
  };
  if (dtype == ScalarType::Float) {
    check_cuda(draw(maps.mutable_data_ptr<float>()), "gaussian_heatmap");
  } else {
    STD_TORCH_CHECK(dtype == ScalarType::Double, "dtype must be float32 or float64");
    check_cuda(draw(maps.mutable_data_ptr<double>()), "gaussian_heatmap");
  }
  return maps;
}

}  // namespace

FASTCOUNT_CUDA_LIBRARY(m) { m.impl("gaussian_heatmap", TORCH_BOX(&gaussian_heatmap)); }

}  // namespace fastcount
