#include "cpu/smooth_l1.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <vector>

#include "bindings/torch/maps.h"

namespace fastcount {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Pixels a task. The sums of the tasks are added in their order, whoever computed them.
constexpr std::int64_t kSmoothL1Task = 65536;

template <typename T>
Tensor forward(const Tensor& pred, const Tensor& target, double weight, bool reduce) {
  const std::int64_t total = pred.numel();
  const std::int64_t tasks = (total + kSmoothL1Task - 1) / kSmoothL1Task;
  const T* predictions = pred.const_data_ptr<T>();
  const T* targets = target.const_data_ptr<T>();
  Tensor loss = reduce ? torch::stable::new_empty(pred, {}) : torch::stable::empty_like(pred);
  T* losses = loss.mutable_data_ptr<T>();
  std::vector<double> sums(static_cast<std::size_t>(tasks));
  torch::stable::parallel_for(0, tasks, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t task = first; task < last; ++task) {
      const std::int64_t begin = task * kSmoothL1Task;
      sums[static_cast<std::size_t>(task)] =
          cpu::smooth_l1(predictions + begin, targets + begin, make_smooth_l1_weights<T>(weight),
                         std::min(kSmoothL1Task, total - begin), reduce ? nullptr : losses + begin);
    }
  });
  if (reduce) {
    double sum = 0.0;
    for (const double part : sums) sum += part;
    *losses = static_cast<T>(sum);
  }
  return loss;
}

Tensor weighted_smooth_l1(const Tensor& pred, const Tensor& target, double weight, bool reduce) {
  check_same_shape(target, "target", pred);
  const ScalarType type = compute_type(pred);
  const Tensor predictions = dense(pred, type);
  const Tensor targets = dense(target, type);
  return type == ScalarType::Double ? forward<double>(predictions, targets, weight, reduce)
                                    : forward<float>(predictions, targets, weight, reduce);
}

template <typename T>
Tensor backward(const Tensor& grad, const Tensor& pred, const Tensor& target, double weight) {
  const bool single = grad.numel() == 1;
  const T* grads = grad.const_data_ptr<T>();
  const T* predictions = pred.const_data_ptr<T>();
  const T* targets = target.const_data_ptr<T>();
  Tensor out = torch::stable::empty_like(pred);
  T* to = out.mutable_data_ptr<T>();
  torch::stable::parallel_for(
      0, pred.numel(), kSmoothL1Task, [&](std::int64_t first, std::int64_t last) {
        cpu::smooth_l1_backward(single ? grads : grads + first, single, predictions + first,
                                targets + first, make_smooth_l1_weights<T>(weight), last - first,
                                to + first);
      });
  return out;
}

Tensor weighted_smooth_l1_backward(const Tensor& grad, const Tensor& pred, const Tensor& target,
                                   double weight) {
  check_same_shape(target, "target", pred);
  STD_TORCH_CHECK(grad.numel() == 1 || same_shape(grad, pred),
                  "grad must be a scalar or have the shape of pred");
  const ScalarType type = compute_type(pred);
  const Tensor grads = dense(grad, type);
  const Tensor predictions = dense(pred, type);
  const Tensor targets = dense(target, type);
  const Tensor out = type == ScalarType::Double
                         ? backward<double>(grads, predictions, targets, weight)
                         : backward<float>(grads, predictions, targets, weight);
  return pred.scalar_type() == type ? out : torch::stable::to(out, pred.scalar_type());
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastcount, CPU, m) {
  m.impl("weighted_smooth_l1", TORCH_BOX(&weighted_smooth_l1));
  m.impl("weighted_smooth_l1_backward", TORCH_BOX(&weighted_smooth_l1_backward));
}

}  // namespace fastcount
