#include "cuda/peak_map.h"

#include "bindings/torch/cuda/context.h"
#include "bindings/torch/maps.h"

namespace fastcount {
namespace {

using torch::stable::Tensor;

Tensor peak_map(const Tensor& maps, const Tensor& values, std::int64_t radius) {
  STD_TORCH_CHECK(maps.dim() == 4, "maps must have shape (B, C, H, W)");
  STD_TORCH_CHECK(same_shape(maps, values), "values must have the shape of maps");
  STD_TORCH_CHECK(radius >= 0, "radius must not be negative, got ", radius);
  STD_TORCH_CHECK(maps.scalar_type() == values.scalar_type(),
                  "maps and values must have one dtype");
  check_same_device(values, "values", maps, "maps");
  check_pixels(maps);
  const cuda::Number number = number_of(maps, "maps");
  const CudaContext context(maps);
  const Tensor map = torch::stable::contiguous(maps);
  const Tensor value = torch::stable::contiguous(values);
  Tensor out = torch::stable::new_empty(map, map.sizes());
  if (map.numel() == 0) return out;
  check_cuda(cuda::peak_map(number, map.const_data_ptr(), value.const_data_ptr(),
                            map.size(0) * map.size(1), map.size(2), map.size(3), radius,
                            out.mutable_data_ptr(), context.stream()),
             "peak_map");
  return out;
}

Tensor top_peaks_mask(const Tensor& peaks, const Tensor& counts) {
  check_top_peaks(peaks, counts);
  const cuda::Number number = number_of(peaks, "peaks");
  const CudaContext context(peaks);
  const Tensor map = torch::stable::contiguous(peaks);
  const Tensor most = torch::stable::contiguous(counts);
  Tensor out = torch::stable::new_empty(map, map.sizes());
  if (map.numel() == 0) return out;
  check_cuda(cuda::top_peaks_mask(number, map.const_data_ptr(), most.const_data_ptr<std::int64_t>(),
                                  map.size(0) * map.size(1), map.size(2) * map.size(3),
                                  out.mutable_data_ptr(), context.stream()),
             "top_peaks_mask");
  return out;
}

}  // namespace

FASTCOUNT_CUDA_LIBRARY(m) {
  m.impl("peak_map", TORCH_BOX(&peak_map));
  m.impl("top_peaks_mask", TORCH_BOX(&top_peaks_mask));
}

}  // namespace fastcount
