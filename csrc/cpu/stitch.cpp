#include "cpu/stitch.h"

#include <cstring>

#include "cpu/lane_sum.h"
#include "cpu/multiversion.h"

namespace fastcount::cpu {
namespace {

FASTCOUNT_MULTIVERSION
double sum_row(const float* values, std::int64_t count) { return lane_sum(values, count); }

}  // namespace

CellSums place_core(const float* tile, std::int64_t height, std::int64_t width, std::int64_t top,
                    std::int64_t bottom, std::int64_t left, std::int64_t right, float* map,
                    std::int64_t map_width) {
  CellSums sums{0.0, 0.0};
  const std::int64_t across = right - left;
  for (std::int64_t y = 0; y < height; ++y) {
    const float* row = tile + y * width;
    const bool inside = y >= top && y < bottom;
    if (!inside) {
      sums.found += sum_row(row, width);
      continue;
    }
    const double core = sum_row(row + left, across);
    sums.found += core + sum_row(row, left) + sum_row(row + right, width - right);
    sums.kept += core;
    std::memcpy(map + (y - top) * map_width, row + left,
                static_cast<std::size_t>(across) * sizeof(float));
  }
  return sums;
}

}  // namespace fastcount::cpu
