#include "cpu/top_peaks_mask.h"

#include <algorithm>
#include <functional>

namespace fastcount::cpu {

template <typename T>
void mask_top_peaks(const T* map, std::int64_t pixels, std::int64_t t, std::vector<T>& heights,
                    T* mask) {
  const auto is_peak = [](T value) { return value < T(0) || value > T(0); };  // false for NaN
  heights.clear();
  for (std::int64_t i = 0; i < pixels; ++i) {
    if (is_peak(map[i])) heights.push_back(map[i]);
  }
  if (t <= 0 || heights.empty()) {
    std::fill(mask, mask + pixels, T(0));
    return;
  }
  const std::int64_t last = std::min(t, static_cast<std::int64_t>(heights.size())) - 1;
  std::nth_element(heights.begin(), heights.begin() + last, heights.end(), std::greater<T>());
  const T lowest = heights[static_cast<std::size_t>(last)];
  for (std::int64_t i = 0; i < pixels; ++i) {
    mask[i] = is_peak(map[i]) && map[i] >= lowest ? T(1) : T(0);
  }
}

template void mask_top_peaks(const float*, std::int64_t, std::int64_t, std::vector<float>&, float*);
template void mask_top_peaks(const double*, std::int64_t, std::int64_t, std::vector<double>&,
                             double*);

}  // namespace fastcount::cpu
