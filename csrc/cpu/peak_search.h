// The peaks of whole maps: strips of rows searched in parallel, joined and sorted.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "cpu/find_peaks.h"

namespace fastcount::cpu {

// How maps are cut into strips of rows that are searched by themselves: tall enough that the rows
// looked at on either side are few beside the strip's own. The map has pixels.
struct PeakStrips {
  explicit PeakStrips(const PeakRule& rule)
      : rows(std::min(rule.height,
                      std::max({std::int64_t{16}, 4 * std::min(rule.radius, rule.height),
                                32768 / rule.width}))),
        of_map((rule.height - 1) / rows + 1),
        grain(65536 / (rows * rule.width) + 1) {}

  std::int64_t rows;    // of a strip; the last of a map may have fewer
  std::int64_t of_map;  // strips
  std::int64_t grain;   // strips worth another thread
};

template <typename T>
using PeaksOfMaps = std::vector<std::vector<Peak<T>>>;

// The peaks of each of `maps` maps in falling order, at most `max_peaks` of them. Strips are joined
// in order, so the result does not depend on the number of threads.
//
// parallel_for(begin, end, grain, body) calls body(first, last) for parts of begin .. end - 1, of
// `grain` at least where there are so many, side by side if it can.
template <typename T, typename ParallelFor>
PeaksOfMaps<T> peaks_of_maps(const T* values, std::int64_t maps, const PeakRule& rule,
                             std::int64_t max_peaks, ParallelFor parallel_for) {
  const std::int64_t pixels = rule.height * rule.width;
  PeaksOfMaps<T> found(static_cast<std::size_t>(maps));
  if (maps * pixels == 0) return found;

  const PeakStrips cut(rule);
  const std::int64_t strips = cut.of_map;
  PeaksOfMaps<T> parts(static_cast<std::size_t>(maps * strips));
  parallel_for(0, maps * strips, cut.grain, [&](std::int64_t begin, std::int64_t end) {
    PeakScratch<T> scratch;
    for (std::int64_t part = begin; part < end; ++part) {
      const std::int64_t first = part % strips * cut.rows;
      find_strip(values + part / strips * pixels, rule, first,
                 std::min(first + cut.rows, rule.height), scratch,
                 parts[static_cast<std::size_t>(part)]);
    }
  });
  parallel_for(0, maps, 64, [&](std::int64_t begin, std::int64_t end) {
    std::vector<Peak<T>> spare;
    for (std::int64_t map = begin; map < end; ++map) {
      std::vector<Peak<T>>& peaks = found[static_cast<std::size_t>(map)];
      peaks = std::move(parts[static_cast<std::size_t>(map * strips)]);
      std::size_t total = peaks.size();
      for (std::int64_t strip = 1; strip < strips; ++strip) {
        total += parts[static_cast<std::size_t>(map * strips + strip)].size();
      }
      peaks.reserve(total);
      for (std::int64_t strip = 1; strip < strips; ++strip) {
        const auto& more = parts[static_cast<std::size_t>(map * strips + strip)];
        peaks.insert(peaks.end(), more.begin(), more.end());
      }
      sort_peaks(peaks, spare);
      if (static_cast<std::int64_t>(peaks.size()) > max_peaks) {
        peaks.resize(static_cast<std::size_t>(max_peaks));
      }
    }
  });
  return found;
}

template <typename T>
void write_peak(const Peak<T>& peak, std::int32_t width, float* point, T* score) {
  point[0] = static_cast<float>(peak.index % width);
  point[1] = static_cast<float>(peak.index / width);
  *score = value_of_key<T>(peak.key);
}

}  // namespace fastcount::cpu
