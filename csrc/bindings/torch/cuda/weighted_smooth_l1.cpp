#include "bindings/torch/cuda/context.h"
#include "bindings/torch/maps.h"
#include "cuda/smooth_l1.h"

namespace fastcount {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

Tensor weighted_smooth_l1(const Tensor& pred, const Tensor& target, double weight, bool reduce) {
  check_same_shape(target, "target", pred);
  const ScalarType type = compute_type(pred);
  const CudaContext context(pred);
  const Tensor predictions = aligned(pred);
  const Tensor targets = aligned(dense(target, type));
  const std::int64_t count = pred.numel();
  Tensor loss = reduce ? torch::stable::new_empty(pred, {}, type)
                       : torch::stable::new_empty(pred, pred.sizes(), type);
  const std::int64_t pairs = cuda::smooth_l1_scratch(count);
  Tensor scratch = torch::stable::new_empty(pred, {2 * pairs}, ScalarType::Double);
  const cuda::SmoothL1Maps maps{predictions.const_data_ptr(), number_of(pred, "pred"),
                                targets.const_data_ptr(), count, weight};
  check_cuda(cuda::smooth_l1(maps, !reduce, loss.mutable_data_ptr(),
                             reinterpret_cast<cuda::SumPair*>(scratch.mutable_data_ptr<double>()),
                             context.stream()),
             "weighted_smooth_l1");
  return loss;
}

Tensor weighted_smooth_l1_backward(const Tensor& grad, const Tensor& pred, const Tensor& target,
                                   double weight) {
  check_same_shape(target, "target", pred);
  STD_TORCH_CHECK(grad.numel() == 1 || same_shape(grad, pred),
                  "grad must be a scalar or have the shape of pred");
  check_same_device(grad, "grad", pred, "pred");
  const ScalarType type = compute_type(pred);
  const CudaContext context(pred);
  const Tensor grads = aligned(dense(grad, type));
  const Tensor predictions = aligned(pred);
  const Tensor targets = aligned(dense(target, type));
  Tensor out = torch::stable::new_empty(pred, pred.sizes(), pred.scalar_type());
  const cuda::SmoothL1Maps maps{predictions.const_data_ptr(), number_of(pred, "pred"),
                                targets.const_data_ptr(), pred.numel(), weight};
  check_cuda(cuda::smooth_l1_backward(maps, grads.const_data_ptr(), grads.numel() == 1,
                                      out.mutable_data_ptr(), context.stream()),
             "weighted_smooth_l1_backward");
  return out;
}

}  // namespace

FASTCOUNT_CUDA_LIBRARY(m) {
  m.impl("weighted_smooth_l1", TORCH_BOX(&weighted_smooth_l1));
  m.impl("weighted_smooth_l1_backward", TORCH_BOX(&weighted_smooth_l1_backward));
}

}  // namespace fastcount
