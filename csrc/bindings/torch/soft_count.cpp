#include "cpu/soft_count.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

#include "bindings/torch/maps.h"

namespace fastcount {
namespace {

using cpu::MapShape;
using cpu::SoftCountScratch;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

MapShape check_maps(const Tensor& maps, std::int64_t kernel_size) {
  STD_TORCH_CHECK(maps.dim() == 4, "heatmap must have shape (B, C, H, W)");
  STD_TORCH_CHECK(
      maps.scalar_type() == ScalarType::Float || maps.scalar_type() == ScalarType::Double,
      "heatmap must be float32 or float64");
  check_kernel_size(kernel_size);
  return {maps.size(2), maps.size(3), kernel_size / 2};
}

// Calls work(map, first row, last row, scratch) for strips of rows of every map.
template <typename T, typename Work>
void for_each_strip(const Tensor& maps, const MapShape& shape, const Work& work) {
  const std::int64_t count = maps.size(0) * maps.size(1);
  if (count * shape.height * shape.width == 0) return;
  const std::int64_t rows = std::min(
      shape.height,
      std::max({std::int64_t{8}, 8 * std::min(shape.radius, shape.height), 16384 / shape.width}));
  const std::int64_t strips = (shape.height - 1) / rows + 1;
  const std::int64_t grain = 16384 / (rows * shape.width) + 1;
  torch::stable::parallel_for(0, count * strips, grain, [&](std::int64_t begin, std::int64_t end) {
    SoftCountScratch<T> scratch;
    for (std::int64_t part = begin; part < end; ++part) {
      const std::int64_t first = part % strips * rows;
      work(part / strips, first, std::min(first + rows, shape.height), scratch);
    }
  });
}

template <typename T>
Tensor softened(const Tensor& heatmap, const MapShape& shape, double beta) {
  const Tensor held = torch::stable::contiguous(heatmap);
  Tensor out = torch::stable::new_empty(held, held.sizes());
  const T* read = held.const_data_ptr<T>();
  T* write = out.mutable_data_ptr<T>();
  for_each_strip<T>(
      held, shape,
      [&](std::int64_t map, std::int64_t first, std::int64_t last, SoftCountScratch<T>& scratch) {
        const std::int64_t start = map * shape.height * shape.width;
        cpu::soft_peak_rows(read + start, shape, static_cast<T>(beta), first, last, scratch,
                            write + start);
      });
  return out;
}

template <typename T>
SoftCountRule<T> rule_of(double beta, double steepness, double threshold) {
  return {static_cast<T>(beta), static_cast<T>(steepness), static_cast<T>(threshold)};
}

template <typename T>
std::tuple<Tensor, Tensor> counted(const Tensor& heatmap, const MapShape& shape,
                                   const SoftCountRule<T>& rule) {
  const Tensor held = torch::stable::contiguous(heatmap);
  Tensor out = torch::stable::new_empty(held, held.sizes());
  Tensor total = torch::stable::new_zeros(held, {held.size(0), held.size(1)});
  const T* read = held.const_data_ptr<T>();
  T* write = out.mutable_data_ptr<T>();
  const std::int64_t maps = held.size(0) * held.size(1);
  std::vector<double> sums(static_cast<std::size_t>(maps * shape.height));
  for_each_strip<T>(
      held, shape,
      [&](std::int64_t map, std::int64_t first, std::int64_t last, SoftCountScratch<T>& scratch) {
        const std::int64_t start = map * shape.height * shape.width;
        cpu::soft_count_rows(read + start, shape, rule, first, last, scratch, write + start,
                             sums.data() + map * shape.height);
      });
  T* sum = total.mutable_data_ptr<T>();
  for (std::int64_t map = 0; map < maps; ++map) {
    double all = 0.0;
    for (std::int64_t y = 0; y < shape.height; ++y) {
      all += sums[static_cast<std::size_t>(map * shape.height + y)];
    }
    sum[map] = static_cast<T>(all);
  }
  return {out, total};
}

// `grad` by each pixel of the output and `grad_sum` by each map's sum; either may be absent.
template <typename T>
Tensor gradient(const std::optional<Tensor>& grad, const std::optional<Tensor>& grad_sum,
                const Tensor& heatmap, const MapShape& shape, const SoftCountRule<T>& rule,
                bool detect) {
  const Tensor held = torch::stable::contiguous(heatmap);
  Tensor out = torch::stable::new_empty(held, held.sizes());
  const Tensor by_pixel = grad ? torch::stable::contiguous(*grad) : held;
  const Tensor by_sum = grad_sum ? torch::stable::contiguous(*grad_sum) : held;
  const T* pixel = grad ? by_pixel.const_data_ptr<T>() : nullptr;
  const T* sum = grad_sum ? by_sum.const_data_ptr<T>() : nullptr;
  const T* read = held.const_data_ptr<T>();
  T* write = out.mutable_data_ptr<T>();
  for_each_strip<T>(
      held, shape,
      [&](std::int64_t map, std::int64_t first, std::int64_t last, SoftCountScratch<T>& scratch) {
        const std::int64_t start = map * shape.height * shape.width;
        cpu::soft_count_gradient_rows(read + start, shape, rule, detect,
                                      pixel ? pixel + start : nullptr, sum ? sum[map] : T(0), first,
                                      last, scratch, write + start);
      });
  return out;
}

Tensor spatial_softmax(const Tensor& heatmap, std::int64_t kernel_size, double beta) {
  const MapShape shape = check_maps(heatmap, kernel_size);
  return heatmap.scalar_type() == ScalarType::Double ? softened<double>(heatmap, shape, beta)
                                                     : softened<float>(heatmap, shape, beta);
}

Tensor spatial_softmax_backward(const Tensor& grad, const Tensor& heatmap, std::int64_t kernel_size,
                                double beta) {
  const MapShape shape = check_maps(heatmap, kernel_size);
  check_grad(grad, heatmap, 4);
  return heatmap.scalar_type() == ScalarType::Double
             ? gradient<double>(grad, std::nullopt, heatmap, shape, {beta, 0.0, 0.0}, false)
             : gradient<float>(grad, std::nullopt, heatmap, shape, rule_of<float>(beta, 0.0, 0.0),
                               false);
}

std::tuple<Tensor, Tensor> soft_count(const Tensor& heatmap, std::int64_t kernel_size, double beta,
                                      double steepness, double threshold) {
  const MapShape shape = check_maps(heatmap, kernel_size);
  return heatmap.scalar_type() == ScalarType::Double
             ? counted(heatmap, shape, rule_of<double>(beta, steepness, threshold))
             : counted(heatmap, shape, rule_of<float>(beta, steepness, threshold));
}

Tensor soft_count_backward(const std::optional<Tensor>& grad, const std::optional<Tensor>& grad_sum,
                           const Tensor& heatmap, std::int64_t kernel_size, double beta,
                           double steepness, double threshold) {
  const MapShape shape = check_maps(heatmap, kernel_size);
  check_grad(grad, heatmap, 4);
  check_grad(grad_sum, heatmap, 2);
  return heatmap.scalar_type() == ScalarType::Double
             ? gradient(grad, grad_sum, heatmap, shape, rule_of<double>(beta, steepness, threshold),
                        true)
             : gradient(grad, grad_sum, heatmap, shape, rule_of<float>(beta, steepness, threshold),
                        true);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastcount, CPU, m) {
  m.impl("spatial_softmax", TORCH_BOX(&spatial_softmax));
  m.impl("spatial_softmax_backward", TORCH_BOX(&spatial_softmax_backward));
  m.impl("soft_count", TORCH_BOX(&soft_count));
  m.impl("soft_count_backward", TORCH_BOX(&soft_count_backward));
}

}  // namespace fastcount
