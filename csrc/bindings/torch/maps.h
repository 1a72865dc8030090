// Checks and conversions of map-shaped inputs shared by the loss bindings.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <limits>

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
