#include "cpu/top_peaks_mask.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include <vector>

#include "bindings/torch/maps.h"

namespace fastcount {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

template <typename T>
Tensor masked(const Tensor& peaks, const Tensor& counts) {
  const Tensor map = torch::stable::contiguous(peaks);
  const Tensor most = torch::stable::contiguous(counts);
  Tensor out = torch::stable::new_empty(map, map.sizes());
  const T* read = map.const_data_ptr<T>();
  const std::int64_t* t = most.const_data_ptr<std::int64_t>();
  T* write = out.mutable_data_ptr<T>();
  const std::int64_t maps = map.size(0) * map.size(1);
  const std::int64_t pixels = map.size(2) * map.size(3);
  torch::stable::parallel_for(
      0, maps, 32768 / (pixels + 1) + 1, [&](std::int64_t begin, std::int64_t end) {
        std::vector<T> heights;
        for (std::int64_t i = begin; i < end; ++i) {
          cpu::mask_top_peaks(read + i * pixels, pixels, t[i], heights, write + i * pixels);
        }
      });
  return out;
}

Tensor top_peaks_mask(const Tensor& peaks, const Tensor& counts) {
  check_top_peaks(peaks, counts);
  STD_TORCH_CHECK(
      peaks.scalar_type() == ScalarType::Float || peaks.scalar_type() == ScalarType::Double,
      "peaks must be float32 or float64");
  return peaks.scalar_type() == ScalarType::Double ? masked<double>(peaks, counts)
                                                   : masked<float>(peaks, counts);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastcount, CPU, m) {
  m.impl("top_peaks_mask", TORCH_BOX(&top_peaks_mask));
}

}  // namespace fastcount
