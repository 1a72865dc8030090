#include "cpu/peak_search.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>
#include <vector>

#include "bindings/torch/maps.h"

namespace fastcount {
namespace {

using cpu::Peak;
using cpu::PeakRule;
using cpu::PeaksOfMaps;
using cpu::write_peak;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

PeakRule check_rule(const Tensor& scores, std::int64_t kernel_size, double threshold, bool smooth,
                    std::int64_t max_peaks) {
  STD_TORCH_CHECK(scores.dim() == 4, "scores must have shape (B, C, H, W)");
  check_kernel_size(kernel_size);
  STD_TORCH_CHECK(threshold == threshold, "threshold must not be NaN");
  STD_TORCH_CHECK(max_peaks >= 1, "max_peaks must be at least 1, got ", max_peaks);
  check_pixels(scores);
  return {scores.size(2), scores.size(3), kernel_size / 2, threshold, smooth};
}

template <typename T>
PeaksOfMaps<T> peaks_of_maps(const Tensor& scores, const PeakRule& rule, std::int64_t max_peaks) {
  const Tensor held = torch::stable::contiguous(scores);
  const auto parallel_for = [](std::int64_t begin, std::int64_t end, std::int64_t grain,
                               const auto& body) {
    torch::stable::parallel_for(begin, end, grain, body);
  };
  return cpu::peaks_of_maps(held.const_data_ptr<T>(), scores.size(0) * scores.size(1), rule,
                            max_peaks, parallel_for);
}

template <typename T>
std::tuple<Tensor, Tensor, Tensor, Tensor> listed(const Tensor& scores, const PeakRule& rule,
                                                  std::int64_t max_peaks) {
  const PeaksOfMaps<T> found = peaks_of_maps<T>(scores, rule, max_peaks);
  std::int64_t total = 0;
  for (const auto& peaks : found) total += static_cast<std::int64_t>(peaks.size());
  Tensor points = torch::stable::new_empty(scores, {total, 2}, ScalarType::Float);
  Tensor values = torch::stable::new_empty(scores, {total});
  Tensor batch = torch::stable::new_empty(scores, {total}, ScalarType::Long);
  Tensor channel = torch::stable::new_empty(scores, {total}, ScalarType::Long);
  float* point = points.mutable_data_ptr<float>();
  T* value = values.mutable_data_ptr<T>();
  std::int64_t* image = batch.mutable_data_ptr<std::int64_t>();
  std::int64_t* plane = channel.mutable_data_ptr<std::int64_t>();
  const std::int64_t channels = scores.size(1);
  const auto width = static_cast<std::int32_t>(rule.width);
  for (std::size_t map = 0; map < found.size(); ++map) {
    const std::vector<Peak<T>>& peaks = found[map];
    image = std::fill_n(image, peaks.size(), static_cast<std::int64_t>(map) / channels);
    plane = std::fill_n(plane, peaks.size(), static_cast<std::int64_t>(map) % channels);
    for (const Peak<T>& peak : peaks) {
      write_peak(peak, width, point, value++);
      point += 2;
    }
  }
  return {points, values, batch, channel};
}

template <typename T>
std::tuple<Tensor, Tensor, Tensor> padded(const Tensor& scores, const PeakRule& rule,
                                          std::int64_t max_peaks) {
  const PeaksOfMaps<T> found = peaks_of_maps<T>(scores, rule, max_peaks);
  const std::int64_t images = scores.size(0);
  const std::int64_t channels = scores.size(1);
  Tensor points =
      torch::stable::new_empty(scores, {images, channels, max_peaks, 2}, ScalarType::Float);
  Tensor values = torch::stable::new_zeros(scores, {images, channels, max_peaks});
  Tensor valid = torch::stable::new_empty(scores, {images, channels}, ScalarType::Long);
  float* point = points.mutable_data_ptr<float>();
  T* value = values.mutable_data_ptr<T>();
  std::int64_t* count = valid.mutable_data_ptr<std::int64_t>();
  std::fill(point, point + points.numel(), -1.0F);
  for (const auto& peaks : found) {
    for (std::size_t i = 0; i < peaks.size(); ++i) {
      write_peak(peaks[i], static_cast<std::int32_t>(rule.width), point + 2 * i, value + i);
    }
    *count++ = static_cast<std::int64_t>(peaks.size());
    point += 2 * max_peaks;
    value += max_peaks;
  }
  return {points, values, valid};
}

void check_dtype(const Tensor& scores) {
  STD_TORCH_CHECK(
      scores.scalar_type() == ScalarType::Float || scores.scalar_type() == ScalarType::Double,
      "scores must be float32 or float64");
}

std::tuple<Tensor, Tensor, Tensor, Tensor> find_peaks(const Tensor& scores,
                                                      std::int64_t kernel_size, double threshold,
                                                      bool smooth,
                                                      std::optional<std::int64_t> max_peaks) {
  const std::int64_t most = max_peaks.value_or(std::numeric_limits<std::int64_t>::max());
  const PeakRule rule = check_rule(scores, kernel_size, threshold, smooth, most);
  check_dtype(scores);
  return scores.scalar_type() == ScalarType::Double ? listed<double>(scores, rule, most)
                                                    : listed<float>(scores, rule, most);
}

std::tuple<Tensor, Tensor, Tensor> find_peaks_padded(const Tensor& scores, std::int64_t kernel_size,
                                                     double threshold, bool smooth,
                                                     std::int64_t max_peaks) {
  const PeakRule rule = check_rule(scores, kernel_size, threshold, smooth, max_peaks);
  check_dtype(scores);
  return scores.scalar_type() == ScalarType::Double ? padded<double>(scores, rule, max_peaks)
                                                    : padded<float>(scores, rule, max_peaks);
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(fastcount, CPU, m) {
  m.impl("find_peaks", TORCH_BOX(&find_peaks));
  m.impl("find_peaks_padded", TORCH_BOX(&find_peaks_padded));
}

}  // namespace fastcount
