// Checks of point sets shared by the bindings. The Python functions check first and raise with
// better words; these hold for callers of torch.ops.fastcount and for compiled graphs.
#pragma once

#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "bindings/torch/devices.h"

namespace fastcount {

// Where each set begins in `points` [T, 2] float64; the last entry is T.
inline std::vector<std::int64_t> check_point_sets(const torch::stable::Tensor& points,
                                                  torch::headeronly::IntHeaderOnlyArrayRef counts) {
  STD_TORCH_CHECK(points.dim() == 2 && points.size(1) == 2, "points must have shape (T, 2)");
  STD_TORCH_CHECK(points.scalar_type() == torch::headeronly::ScalarType::Double,
                  "points must be float64");
  std::vector<std::int64_t> offsets{0};
  for (const std::int64_t count : counts) {
    STD_TORCH_CHECK(count >= 0, "counts must not be negative, got ", count);
    STD_TORCH_CHECK(count <= std::numeric_limits<std::int64_t>::max() - offsets.back(),
                    "counts add up to more than 64 bits hold");
    offsets.push_back(offsets.back() + count);
  }
  STD_TORCH_CHECK(offsets.back() == points.size(0), "counts add up to ", offsets.back(),
                  ", but there are ", points.size(0), " points");
  return offsets;
}

inline void check_sigma(const torch::stable::Tensor& sigma, const torch::stable::Tensor& points) {
  STD_TORCH_CHECK(sigma.dim() == 1 && sigma.size(0) == points.size(0),
                  "sigma must have one entry for each point");
  STD_TORCH_CHECK(sigma.scalar_type() == torch::headeronly::ScalarType::Double,
                  "sigma must be float64");
  check_same_device(sigma, "sigma", points, "points");
}

inline void check_picture(std::int64_t height, std::int64_t width) {
  STD_TORCH_CHECK(height >= 1 && width >= 1 && height < (std::int64_t{1} << 31) &&
                      width < (std::int64_t{1} << 31),
                  "size must be at least 1 and below 2^31 a side, got ", height, " x ", width);
}

inline void check_stride(std::int64_t stride) {
  STD_TORCH_CHECK(stride >= 1 && stride < (std::int64_t{1} << 31),
                  "stride must be at least 1 and below 2^31, got ", stride);
}

// A window below 0 would begin behind its end.
inline void check_truncate(double truncate) {
  STD_TORCH_CHECK(truncate > 0.0, "truncate must be positive, got ", truncate);
}

inline void check_finite(const double* values, std::int64_t count, const char* name) {
  for (std::int64_t i = 0; i < count; ++i) {
    STD_TORCH_CHECK(std::isfinite(values[i]), name, " must be finite, got ", values[i]);
  }
}

inline void check_positive(const double* values, std::int64_t count, const char* name) {
  for (std::int64_t i = 0; i < count; ++i) {
    STD_TORCH_CHECK(std::isfinite(values[i]) && values[i] > 0.0, name,
                    " must be positive and finite, got ", values[i]);
  }
}

}  // namespace fastcount
