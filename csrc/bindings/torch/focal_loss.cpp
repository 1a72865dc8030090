#include "cpu/focal_loss.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

#include "bindings/torch/focal_options.h"
#include "bindings/torch/maps.h"
#include "cpu/scale.h"

namespace fastcount {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Pixels a task. The sums of the tasks are added in their order, whoever computed them.
constexpr std::int64_t kFocalTask = 16384;

template <typename T>
std::tuple<Tensor, Tensor, Tensor> forward(const Tensor& pred, const Tensor& target,
                                           const bool* mask, const FocalRequest& request) {
  const std::int64_t total = pred.numel();
  const std::int64_t tasks = (total + kFocalTask - 1) / kFocalTask;
  const T* predictions = pred.const_data_ptr<T>();
  const T* targets = target.const_data_ptr<T>();

  Tensor slope =
      request.keep ? torch::stable::empty_like(pred) : torch::stable::new_empty(pred, {0});
  Tensor loss =
      request.reduce ? torch::stable::new_empty(pred, {}) : torch::stable::empty_like(pred);
  Tensor weight = torch::stable::new_empty(pred, {});
  T* slopes = request.keep ? slope.mutable_data_ptr<T>() : nullptr;
  T* losses = loss.mutable_data_ptr<T>();

  std::vector<cpu::FocalSum> sums(static_cast<std::size_t>(tasks));
  torch::stable::parallel_for(0, tasks, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t task = first; task < last; ++task) {
      const std::int64_t begin = task * kFocalTask;
      sums[static_cast<std::size_t>(task)] = cpu::focal_loss(
          predictions + begin, targets + begin, mask == nullptr ? nullptr : mask + begin,
          std::min(kFocalTask, total - begin), request.options,
          slopes == nullptr ? nullptr : slopes + begin, request.reduce ? nullptr : losses + begin);
    }
  });
  cpu::FocalSum sum{0.0, 0};
  for (const cpu::FocalSum& part : sums) {
    sum.loss += part.loss;
    sum.centers += part.centers;
  }
  const double factor = request.alpha / request.divisor(sum.centers);
  *weight.mutable_data_ptr<T>() = static_cast<T>(factor);
  if (request.reduce) {
    *losses = static_cast<T>(factor * sum.loss);
  } else {
    torch::stable::parallel_for(0, total, kFocalTask, [&](std::int64_t first, std::int64_t last) {
      cpu::scale_in_place(losses + first, static_cast<T>(factor), last - first);
    });
  }
  return {loss, weight, slope};
}

std::tuple<Tensor, Tensor, Tensor> focal_loss(const Tensor& pred, const Tensor& target,
                                              const std::optional<Tensor>& mask, std::int64_t form,
                                              std::int64_t poly, bool from_logits, double alpha,
                                              double beta, double gamma, double eps,
                                              std::optional<double> normalizer, bool reduce,
                                              bool keep) {
  const FocalRequest request =
      check_focal(form, poly, from_logits, alpha, beta, gamma, eps, normalizer, reduce, keep);
  check_same_shape(target, "target", pred);
  const ScalarType type = compute_type(pred);
  const Tensor predictions = dense(pred, type);
  const Tensor targets = dense(target, type);
  const Tensor marks = dense_mask(mask, pred);
  const bool* bits = mask.has_value() ? marks.const_data_ptr<bool>() : nullptr;
  return type == ScalarType::Double ? forward<double>(predictions, targets, bits, request)
                                    : forward<float>(predictions, targets, bits, request);
}

template <typename T>
Tensor backward(const Tensor& grad, const Tensor& slope, const Tensor& weight) {
  const bool single = grad.numel() == 1;
  const T factor = *weight.const_data_ptr<T>() * (single ? *grad.const_data_ptr<T>() : T(1));
  const T* grads = single ? nullptr : grad.const_data_ptr<T>();
  const T* slopes = slope.const_data_ptr<T>();
  Tensor out = torch::stable::empty_like(slope);
  T* to = out.mutable_data_ptr<T>();
  torch::stable::parallel_for(
      0, slope.numel(), kFocalTask, [&](std::int64_t first, std::int64_t last) {
        cpu::scale<T>(slopes + first, grads == nullptr ? nullptr : grads + first, factor,
                      last - first, to + first);
      });
  return out;
}

Tensor focal_loss_backward(const Tensor& grad, const Tensor& slope, const Tensor& weight,
                           ScalarType dtype) {
  const ScalarType type = compute_type(slope);
  const Tensor grads = dense(grad, type);
  STD_TORCH_CHECK(grads.numel() == 1 || same_shape(grads, slope),
                  "grad must be a scalar or have the shape of slope");
  STD_TORCH_CHECK(weight.numel() == 1 && weight.scalar_type() == type,
                  "weight must be a scalar of the type of slope");
  const Tensor slopes = dense(slope, type);
  const Tensor out = type == ScalarType::Double ? backward<double>(grads, slopes, weight)
                                                : backward<float>(grads, slopes, weight);
  return dtype == type ? out : torch::stable::to(out, dtype);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastcount, CPU, m) {
  m.impl("focal_loss", TORCH_BOX(&focal_loss));
  m.impl("focal_loss_backward", TORCH_BOX(&focal_loss_backward));
}

}  // namespace fastcount
