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

// How many of the splats come next, what room their weights take, how many cells they draw.
struct SplatPart {
  std::int64_t count;
  std::int64_t weights;
  std::int64_t work;
};

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
// [sets, rows, map.cols] at map.cells. The first part writes every cell.
template <typename Acc>
void draw_part(const cpu::Splat* splats, const Acc* weights,
               const std::vector<std::int64_t>& offsets, std::int64_t begin, SplatPart part,
               std::int64_t rows, cpu::SplatMap<Acc> map) {
  const std::int64_t sets = static_cast<std::int64_t>(offsets.size()) - 1;
  const std::int64_t bands = (rows - 1) / cpu::kTileRows + 1;  // of one picture
  const std::int64_t cost = (part.work + sets * rows * map.cols) / (sets * bands) + 1;
  const std::int64_t grain = 131072 / cost + 1;
  torch::stable::parallel_for(0, sets * bands, grain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t band = first; band < last; ++band) {
      const std::int64_t set = band / bands;
      const auto i = static_cast<std::size_t>(set);
      const std::int64_t top = band % bands * cpu::kTileRows;
      cpu::SplatMap<Acc> own = map;
      own.cells += set * rows * map.cols;
      cpu::draw_splats(splats, std::max(offsets[i] - begin, std::int64_t{0}),
                       std::min(offsets[i + 1] - begin, part.count), weights, top,
                       std::min(top + cpu::kTileRows, rows), begin == 0, own);
    }
  });
}

}  // namespace fastcount
