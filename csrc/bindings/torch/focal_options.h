// The arguments of a focal loss, checked: for callers of torch.ops.fastcount and compiled graphs.
// The Python functions check first and raise with better words.
#pragma once

#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>
#include <optional>

#include "bindings/torch/maps.h"
#include "math/focal_loss.h"

namespace fastcount {

struct FocalRequest {
  FocalOptions options;
  double alpha;
  std::optional<double> normalizer;
  bool reduce;  // to one number
  bool keep;    // the slope, for the backward pass

  double divisor(std::int64_t centers) const {
    return normalizer ? *normalizer : static_cast<double>(centers > 1 ? centers : 1);
  }
};

inline FocalRequest check_focal(std::int64_t form, std::int64_t poly, bool from_logits,
                                double alpha, double beta, double gamma, double eps,
                                std::optional<double> normalizer, bool reduce, bool keep) {
  STD_TORCH_CHECK(form >= 0 && form <= 2, "form must be 0, 1 or 2, got ", form);
  STD_TORCH_CHECK(poly >= 0 && poly <= 2, "poly must be 0, 1 or 2, got ", poly);
  STD_TORCH_CHECK(beta >= 0.0, "beta must not be negative, got ", beta);
  STD_TORCH_CHECK(gamma >= 0.0, "gamma must not be negative, got ", gamma);
  STD_TORCH_CHECK(eps >= 1e-30 && eps < 0.5, "eps must be in [1e-30, 0.5), got ", eps);
  STD_TORCH_CHECK(!normalizer || *normalizer > 0.0, "normalizer must be positive, got ",
                  normalizer.value_or(0.0));
  return {
      {static_cast<FocalForm>(form), static_cast<FocalPoly>(poly), from_logits, beta, gamma, eps},
      alpha,
      normalizer,
      reduce,
      keep};
}

// The mask laid out densely; `pred` itself, unread, where there is none.
inline torch::stable::Tensor dense_mask(const std::optional<torch::stable::Tensor>& mask,
                                        const torch::stable::Tensor& pred) {
  if (!mask) return pred;
  check_same_shape(*mask, "mask", pred);
  STD_TORCH_CHECK(mask->scalar_type() == torch::headeronly::ScalarType::Bool, "mask must be bool");
  return torch::stable::contiguous(*mask);
}

}  // namespace fastcount
