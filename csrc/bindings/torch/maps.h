// Checks and conversions of map-shaped inputs shared by the bindings of both devices.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>

#include "bindings/torch/devices.h"

namespace fastcount {

inline bool same_shape(const torch::stable::Tensor& a, const torch::stable::Tensor& b) {
  const auto left = a.sizes();
  const auto right = b.sizes();
  return left.size() == right.size() && std::equal(left.begin(), left.end(), right.begin());
}

inline void check_same_shape(const torch::stable::Tensor& map, const char* name,
                             const torch::stable::Tensor& pred) {
  STD_TORCH_CHECK(same_shape(map, pred), name, " must have the shape of pred");
  check_same_device(map, name, pred, "pred");
}

// The kernels number the pixels of a map (B, C, H, W) in 32 bits.
inline void check_pixels(const torch::stable::Tensor& maps) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  const std::int64_t height = maps.size(2);
  const std::int64_t width = maps.size(3);
  STD_TORCH_CHECK(height == 0 || width == 0 || (width <= kMost && height <= kMost / width),
                  "a map must have fewer than 2^31 pixels, got ", height, " x ", width);
}

inline void check_kernel_size(std::int64_t kernel_size) {
  STD_TORCH_CHECK(kernel_size >= 1 && kernel_size % 2 == 1, "kernel_size must be odd, got ",
                  kernel_size);
}

// A gradient by an output that has the first `dims` sides of `heatmap` (B, C, H, W); or none.
inline void check_grad(const std::optional<torch::stable::Tensor>& grad,
                       const torch::stable::Tensor& heatmap, std::int64_t dims) {
  if (!grad) return;
  check_same_device(*grad, "a gradient", heatmap, "heatmap");
  bool same = grad->dim() == dims && grad->scalar_type() == heatmap.scalar_type();
  for (std::int64_t i = 0; same && i < dims; ++i) same = grad->size(i) == heatmap.size(i);
  STD_TORCH_CHECK(same, "a gradient must have the shape and dtype of its output");
}

// `peaks` (B, C, H, W) and how many to keep of each map, `counts` (B, C).
inline void check_top_peaks(const torch::stable::Tensor& peaks,
                            const torch::stable::Tensor& counts) {
  STD_TORCH_CHECK(peaks.dim() == 4, "peaks must have shape (B, C, H, W)");
  STD_TORCH_CHECK(
      counts.dim() == 2 && counts.size(0) == peaks.size(0) && counts.size(1) == peaks.size(1),
      "counts must have shape (B, C), one for each map");
  STD_TORCH_CHECK(counts.scalar_type() == torch::headeronly::ScalarType::Long,
                  "counts must be int64");
  check_same_device(counts, "counts", peaks, "peaks");
}

// The type to compute in: double for double, float for every smaller floating-point type.
inline torch::headeronly::ScalarType compute_type(const torch::stable::Tensor& pred) {
  using torch::headeronly::ScalarType;
  const ScalarType type = pred.scalar_type();
  STD_TORCH_CHECK(type == ScalarType::Float || type == ScalarType::Double ||
                      type == ScalarType::Half || type == ScalarType::BFloat16,
                  "pred must be float32, float64, float16 or bfloat16");
  return type == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

// Laid out densely in that type; the tensor itself where it is so already.
inline torch::stable::Tensor dense(const torch::stable::Tensor& map,
                                   torch::headeronly::ScalarType type) {
  return torch::stable::contiguous(map.scalar_type() == type ? map : torch::stable::to(map, type));
}

}  // namespace fastcount
