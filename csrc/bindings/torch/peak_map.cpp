#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "bindings/torch/maps.h"
#include "cpu/peak_search.h"

namespace fastcount {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// `values` where `maps` is strictly greater than every neighbour within `radius`, 0 elsewhere.
template <typename T>
Tensor masked(const Tensor& maps, const Tensor& values, std::int64_t radius) {
  const Tensor map = torch::stable::contiguous(maps);
  const Tensor value = torch::stable::contiguous(values);
  Tensor out = torch::stable::new_empty(map, map.sizes());
  const cpu::PeakRule rule{
      maps.size(2), maps.size(3), radius, -std::numeric_limits<double>::infinity(), false, true};
  const std::int64_t pixels = rule.height * rule.width;
  const std::int64_t count = maps.size(0) * maps.size(1);
  if (count * pixels == 0) return out;
  const T* read = map.const_data_ptr<T>();
  const T* taken = value.const_data_ptr<T>();
  T* write = out.mutable_data_ptr<T>();
  const cpu::PeakStrips cut(rule);
  const std::int64_t strips = count * cut.of_map;
  torch::stable::parallel_for(0, strips, cut.grain, [&](std::int64_t begin, std::int64_t end) {
    cpu::PeakScratch<T> scratch;
    std::vector<cpu::Peak<T>> peaks;
    for (std::int64_t part = begin; part < end; ++part) {
      const std::int64_t start = part / cut.of_map * pixels;
      const std::int64_t first = part % cut.of_map * cut.rows;
      const std::int64_t last = std::min(first + cut.rows, rule.height);
      peaks.clear();
      cpu::find_strip(read + start, rule, first, last, scratch, peaks);
      std::fill(write + start + first * rule.width, write + start + last * rule.width, T(0));
      for (const cpu::Peak<T>& peak : peaks) {
        write[start + peak.index] = taken[start + peak.index];
      }
    }
  });
  return out;
}

Tensor peak_map(const Tensor& maps, const Tensor& values, std::int64_t radius) {
  STD_TORCH_CHECK(maps.dim() == 4, "maps must have shape (B, C, H, W)");
  STD_TORCH_CHECK(same_shape(maps, values), "values must have the shape of maps");
  STD_TORCH_CHECK(radius >= 0, "radius must not be negative, got ", radius);
  STD_TORCH_CHECK(
      maps.scalar_type() == values.scalar_type() &&
          (maps.scalar_type() == ScalarType::Float || maps.scalar_type() == ScalarType::Double),
      "maps and values must both be float32 or float64");
  check_pixels(maps);
  return maps.scalar_type() == ScalarType::Double ? masked<double>(maps, values, radius)
                                                  : masked<float>(maps, values, radius);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastcount, CPU, m) { m.impl("peak_map", TORCH_BOX(&peak_map)); }

}  // namespace fastcount
