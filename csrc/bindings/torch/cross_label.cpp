#include "cpu/cross_label.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <vector>

#include "bindings/torch/points.h"

namespace fastcount {
namespace {

using torch::headeronly::IntHeaderOnlyArrayRef;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

Tensor cross_label(const Tensor& points, IntHeaderOnlyArrayRef counts, std::int64_t height,
                   std::int64_t width) {
  const std::vector<std::int64_t> offsets = check_point_sets(points, counts);
  check_picture(height, width);
  const Tensor held = torch::stable::contiguous(points);
  const double* xy = held.const_data_ptr<double>();
  check_finite(xy, 2 * offsets.back(), "points");
  const std::int64_t sets = static_cast<std::int64_t>(offsets.size()) - 1;
  Tensor map = torch::stable::new_zeros(points, {sets, 1, height, width}, ScalarType::Float);
  float* out = map.mutable_data_ptr<float>();
  torch::stable::parallel_for(0, sets, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t set = begin; set < end; ++set) {
      const auto i = static_cast<std::size_t>(set);
      cpu::draw_crosses(xy + 2 * offsets[i], offsets[i + 1] - offsets[i], height, width,
                        out + set * height * width);
    }
  });
  return map;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastcount, CPU, m) { m.impl("cross_label", TORCH_BOX(&cross_label)); }

}  // namespace fastcount
