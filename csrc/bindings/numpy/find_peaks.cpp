#include <limits>
#include <optional>

#include "bindings/numpy/arrays.h"
#include "bindings/numpy/functions.h"
#include "bindings/numpy/parallel.h"
#include "cpu/peak_search.h"

namespace fastcount {
namespace {

template <typename T>
py::tuple listed(const py::array& scores, const cpu::PeakRule& rule, std::int64_t max_peaks) {
  const auto held = dense<T>(scores);
  const std::int64_t channels = scores.shape(1);
  cpu::PeaksOfMaps<T> found;
  std::size_t total = 0;
  {
    const T* values = held.data();
    const std::int64_t maps = scores.shape(0) * channels;
    const py::gil_scoped_release free;
    found = cpu::peaks_of_maps(values, maps, rule, max_peaks,
                               [](std::int64_t begin, std::int64_t end, std::int64_t grain,
                                  const auto& body) { parallel_for(begin, end, grain, body); });
    for (const auto& peaks : found) total += peaks.size();
  }
  const auto number = static_cast<py::ssize_t>(total);
  py::array_t<float> points({number, py::ssize_t{2}});
  py::array_t<T> values(number);
  py::array_t<std::int64_t> batch(number), channel(number);
  float* point = points.mutable_data();
  T* value = values.mutable_data();
  std::int64_t* image = batch.mutable_data();
  std::int64_t* plane = channel.mutable_data();
  for (std::size_t map = 0; map < found.size(); ++map) {
    const auto& peaks = found[map];
    image = std::fill_n(image, peaks.size(), static_cast<std::int64_t>(map) / channels);
    plane = std::fill_n(plane, peaks.size(), static_cast<std::int64_t>(map) % channels);
    for (const cpu::Peak<T>& peak : peaks) {
      cpu::write_peak(peak, static_cast<std::int32_t>(rule.width), point, value++);
      point += 2;
    }
  }
  return py::make_tuple(points, values, batch, channel);
}

py::tuple find_peaks(const py::array& scores, std::int64_t kernel_size, double threshold,
                     std::int64_t smooth, std::optional<std::int64_t> max_peaks) {
  constexpr std::int64_t kLongestSide = std::int64_t{1} << 24;  // float32 holds them exactly
  if (!holds<double>(scores)) {
    require_type<float>(scores, "scores", "float32 or float64");
  }
  require_shape(scores, "scores", {-1, -1, -1, -1}, "(B, C, H, W)");
  const std::int64_t height = scores.shape(2), width = scores.shape(3);
  if (height > kLongestSide || width > kLongestSide ||
      (width > 0 && height > std::numeric_limits<std::int32_t>::max() / width)) {
    throw py::value_error("scores: expected maps of fewer than 2^31 pixels, 2^24 a side, got " +
                          shape_of(scores) + "; tile it");
  }
  if (kernel_size < 1 || kernel_size % 2 == 0) {
    throw py::value_error("kernel_size: expected an odd number of at least 1, got " +
                          std::to_string(kernel_size));
  }
  if (threshold != threshold) throw py::value_error("threshold: expected a number, got NaN");
  if (smooth != 0 && smooth != 3) {
    throw py::value_error("smooth: expected 0 (off) or 3 (mean of 3 x 3 pixels), got " +
                          std::to_string(smooth));
  }
  const std::int64_t most = max_peaks.value_or(std::numeric_limits<std::int64_t>::max());
  if (most < 1) {
    throw py::value_error("max_peaks: expected at least 1, got " + std::to_string(most));
  }
  const cpu::PeakRule rule{height, width, kernel_size / 2, threshold, smooth == 3};
  return holds<double>(scores) ? listed<double>(scores, rule, most)
                               : listed<float>(scores, rule, most);
}

}  // namespace

void bind_find_peaks(py::module_& m) {
  m.def("find_peaks", &find_peaks, py::arg("scores"), py::arg("kernel_size"), py::arg("threshold"),
        py::arg("smooth"), py::arg("max_peaks"),
        "Points (M, 2), scores, batch and channel of the peaks of (B, C, H, W) `scores`.");
}

}  // namespace fastcount
