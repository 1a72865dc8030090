#include "cuda/focal_loss.h"

#include <optional>
#include <tuple>

#include "bindings/torch/cuda/context.h"
#include "bindings/torch/focal_options.h"
#include "bindings/torch/maps.h"

namespace fastcount {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

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
  const CudaContext context(pred);
  const Tensor predictions = aligned(pred);
  const Tensor targets = aligned(dense(target, type));
  const std::int64_t count = pred.numel();
  Tensor loss = reduce ? torch::stable::new_empty(pred, {}, type)
                       : torch::stable::new_empty(pred, pred.sizes(), type);
  Tensor weight = torch::stable::new_empty(pred, {}, type);
  Tensor slope = keep ? torch::stable::new_empty(pred, pred.sizes(), type)
                      : torch::stable::new_empty(pred, {0}, type);
  const std::int64_t pairs = cuda::focal_loss_scratch(count);
  Tensor scratch = torch::stable::new_empty(pred, {2 * pairs}, ScalarType::Double);
  const Tensor marks = mask ? aligned(dense_mask(mask, pred)) : pred;
  const cuda::FocalMaps maps{predictions.const_data_ptr(), number_of(pred, "pred"),
                             targets.const_data_ptr(),
                             mask ? marks.const_data_ptr<bool>() : nullptr, count};
  const cuda::FocalResults results{loss.mutable_data_ptr(), weight.mutable_data_ptr(),
                                   keep ? slope.mutable_data_ptr() : nullptr, !reduce};
  check_cuda(cuda::focal_loss(maps, request.options, alpha, normalizer.value_or(0.0), results,
                              reinterpret_cast<cuda::SumPair*>(scratch.mutable_data_ptr<double>()),
                              context.stream()),
             "focal_loss");
  return {loss, weight, slope};
}

Tensor focal_loss_backward(const Tensor& grad, const Tensor& slope, const Tensor& weight,
                           ScalarType dtype) {
  const ScalarType type = compute_type(slope);
  STD_TORCH_CHECK(grad.numel() == 1 || same_shape(grad, slope),
                  "grad must be a scalar or have the shape of slope");
  STD_TORCH_CHECK(weight.numel() == 1 && weight.scalar_type() == type,
                  "weight must be a scalar of the type of slope");
  check_same_device(grad, "grad", slope, "slope");
  check_same_device(weight, "weight", slope, "slope");
  const CudaContext context(slope);
  const Tensor grads = aligned(dense(grad, type));
  const Tensor slopes = aligned(slope);
  Tensor out = torch::stable::new_empty(slope, slope.sizes(), dtype);
  const cuda::Number number = number_of(out, "dtype");
  STD_TORCH_CHECK((dtype == ScalarType::Double) == (type == ScalarType::Double),
                  "dtype must compute in the type of slope");
  check_cuda(
      cuda::focal_loss_backward(grads.const_data_ptr(), grads.numel() == 1, slopes.const_data_ptr(),
                                weight.const_data_ptr(), slopes.numel(), number,
                                out.mutable_data_ptr(), context.stream()),
      "focal_loss_backward");
  return out;
}

}  // namespace

FASTCOUNT_CUDA_LIBRARY(m) {
  m.impl("focal_loss", TORCH_BOX(&focal_loss));
  m.impl("focal_loss_backward", TORCH_BOX(&focal_loss_backward));
}

}  // namespace fastcount
