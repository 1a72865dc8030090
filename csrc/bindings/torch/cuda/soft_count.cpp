#include "cuda/soft_count.h"

#include <limits>
#include <optional>
#include <tuple>

#include "bindings/torch/cuda/context.h"
#include "bindings/torch/maps.h"

namespace fastcount {
namespace {

using cuda::SoftMaps;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// `held` is contiguous.
SoftMaps check_maps(const Tensor& held, std::int64_t kernel_size, bool detect, double beta,
                    double steepness, double threshold) {
  STD_TORCH_CHECK(held.dim() == 4, "heatmap must have shape (B, C, H, W)");
  check_kernel_size(kernel_size);
  const std::int64_t height = held.size(2);
  const std::int64_t width = held.size(3);
  // The kernels add a window's radius to a pixel's place in 32 bits.
  STD_TORCH_CHECK(width == 0 || height <= std::numeric_limits<std::int32_t>::max() / 2 / width,
                  "a map must have fewer than 2^30 pixels, got ", height, " x ", width);
  return {held.const_data_ptr(),
          number_of(held, "heatmap"),
          held.size(0) * held.size(1),
          height,
          width,
          kernel_size / 2,
          detect,
          beta,
          steepness,
          threshold};
}

Tensor spatial_softmax(const Tensor& heatmap, std::int64_t kernel_size, double beta) {
  const CudaContext context(heatmap);
  const Tensor held = torch::stable::contiguous(heatmap);
  const SoftMaps maps = check_maps(held, kernel_size, false, beta, 0.0, 0.0);
  Tensor out = torch::stable::new_empty(held, held.sizes());
  if (held.numel() == 0) return out;
  check_cuda(cuda::soft_forward(maps, out.mutable_data_ptr(), nullptr, nullptr, context.stream()),
             "spatial_softmax");
  return out;
}

std::tuple<Tensor, Tensor> soft_count(const Tensor& heatmap, std::int64_t kernel_size, double beta,
                                      double steepness, double threshold) {
  const CudaContext context(heatmap);
  const Tensor held = torch::stable::contiguous(heatmap);
  const SoftMaps maps = check_maps(held, kernel_size, true, beta, steepness, threshold);
  Tensor out = torch::stable::new_empty(held, held.sizes());
  Tensor sums = torch::stable::new_zeros(held, {held.size(0), held.size(1)});
  if (held.numel() == 0) return {out, sums};
  Tensor partial = torch::stable::new_empty(held, {maps.maps * maps.tiles()}, ScalarType::Double);
  check_cuda(cuda::soft_forward(maps, out.mutable_data_ptr(), partial.mutable_data_ptr<double>(),
                                sums.mutable_data_ptr(), context.stream()),
             "soft_count");
  return {out, sums};
}

Tensor gradient(const std::optional<Tensor>& grad, const std::optional<Tensor>& grad_sum,
                const Tensor& heatmap, std::int64_t kernel_size, bool detect, double beta,
                double steepness, double threshold) {
  const CudaContext context(heatmap);
  const Tensor held = torch::stable::contiguous(heatmap);
  const SoftMaps maps = check_maps(held, kernel_size, detect, beta, steepness, threshold);
  check_grad(grad, held, 4);
  check_grad(grad_sum, held, 2);
  Tensor out = torch::stable::new_empty(held, held.sizes());
  if (held.numel() == 0) return out;
  const Tensor by_pixel = grad ? torch::stable::contiguous(*grad) : held;
  const Tensor by_sum = grad_sum ? torch::stable::contiguous(*grad_sum) : held;
  Tensor scratch =
      torch::stable::new_empty(held, {cuda::soft_backward_scratch(maps)}, ScalarType::Byte);
  check_cuda(
      cuda::soft_backward(maps, grad ? by_pixel.const_data_ptr() : nullptr,
                          grad_sum ? by_sum.const_data_ptr() : nullptr, scratch.mutable_data_ptr(),
                          out.mutable_data_ptr(), context.stream()),
      "soft_count_backward");
  return out;
}

Tensor spatial_softmax_backward(const Tensor& grad, const Tensor& heatmap, std::int64_t kernel_size,
                                double beta) {
  return gradient(grad, std::nullopt, heatmap, kernel_size, false, beta, 0.0, 0.0);
}

Tensor soft_count_backward(const std::optional<Tensor>& grad, const std::optional<Tensor>& grad_sum,
                           const Tensor& heatmap, std::int64_t kernel_size, double beta,
                           double steepness, double threshold) {
  return gradient(grad, grad_sum, heatmap, kernel_size, true, beta, steepness, threshold);
}

}  // namespace

FASTCOUNT_CUDA_LIBRARY(m) {
  m.impl("spatial_softmax", TORCH_BOX(&spatial_softmax));
  m.impl("spatial_softmax_backward", TORCH_BOX(&spatial_softmax_backward));
  m.impl("soft_count", TORCH_BOX(&soft_count));
  m.impl("soft_count_backward", TORCH_BOX(&soft_count_backward));
}

}  // namespace fastcount
