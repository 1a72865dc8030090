// Drawing splats with torch's threads: shared by the operators that draw Gaussians.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cpu/splat.h"

namespace fastcount {

// Float32 sums of up to this many equal terms are off by less than 1e-5 of their value.
constexpr std::int64_t kMostFloatTerms = 256;
// Bounds the memory held beside the map: weights and splats are made for a part of the points.
constexpr std::int64_t kMostPoints = 16384;
constexpr std::int64_t kMostWeights = std::int64_t{1} << 22;
// Columns that cpu::align_columns may add to a window: a vector's worth at either end.
constexpr std::int64_t kWidened = 32;

// How many of the splats come next, what room their weights take, how many cells they draw.
struct SplatPart {
  std::int64_t count;
  std::int64_t weights;
  std::int64_t work;
};

// Whether points whose windows reach `radius(i)` cells are drawn as one part. A map that sums in
// float64 then needs no float64 copy of itself.
template <typename Radius>
bool fits_one_part(std::int64_t count, std::int64_t rows, std::int64_t cols, Radius radius) {
  if (count > kMostPoints) return false;
  std::int64_t weights = 0;
  for (std::int64_t i = 0; i < count && weights <= kMostWeights; ++i) {
    const std::int64_t across = 2 * radius(i) + 1;
    weights += std::min(rows, across) + std::min(cols, across + kWidened);
  }
  return weights <= kMostWeights;
}

// Gives as many of the first `most` splats their places as there is room for; at least one.
inline SplatPart place_weights(cpu::Splat* splats, std::int64_t most) {
  SplatPart part{0, 0, 0};
  for (; part.count < most; ++part.count) {
    cpu::Splat& splat = splats[part.count];
    const std::int64_t need = splat.rows + splat.cols;
    if (part.count > 0 && part.weights + need > kMostWeights) break;
    splat.row_weights = part.weights;
    splat.col_weights = part.weights + splat.rows;
    part.weights += need;
    part.work += splat.rows * splat.cols;
  }
  return part;
}

// Draws one part of a batch's points, which begins at point `begin`, into its maps
// [sets, map.rows, map.cols] at map.cells. The first part writes every cell.
template <typename Acc, typename Out>
void draw_part(const cpu::Splat* splats, const Acc* weights,
               const std::vector<std::int64_t>& offsets, std::int64_t begin, SplatPart part,
               const cpu::SplatMap<Acc, Out>& map) {
  const std::int64_t sets = static_cast<std::int64_t>(offsets.size()) - 1;
  const std::int64_t bands = cpu::bands_of(map.rows);  // of one picture
  std::vector<cpu::Buckets> reached(static_cast<std::size_t>(sets));
  torch::stable::parallel_for(0, sets, 16, [&](std::int64_t first, std::int64_t last) {
    for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i) {
      reached[i] = cpu::splats_by_band(splats, std::max(offsets[i] - begin, std::int64_t{0}),
                                       std::min(offsets[i + 1] - begin, part.count), map.rows);
    }
  });
  const std::int64_t cost = (part.work + sets * map.rows * map.cols) / (sets * bands) + 1;
  const std::int64_t grain = 131072 / cost + 1;
  torch::stable::parallel_for(0, sets * bands, grain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t task = first; task < last; ++task) {
      const std::int64_t set = task / bands;
      const std::int64_t band = task % bands;
      cpu::SplatMap<Acc, Out> own = map;
      own.cells += set * map.rows * map.cols;
      cpu::draw_band(splats, reached[static_cast<std::size_t>(set)][band], weights, band,
                     begin == 0, own);
    }
  });
}

}  // namespace fastcount
