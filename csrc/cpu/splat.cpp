#include "cpu/splat.h"

#include <algorithm>
#include <vector>

#include "cpu/multiversion.h"

namespace fastcount::cpu {
namespace {

constexpr std::int64_t kTileBytes = 512;  // of one row of a tile, which makes 16 KiB

template <typename Acc>
FASTCOUNT_INLINE void outer_product(Combine combine, const Acc* row_weights,
                                    const Acc* __restrict col_weights, std::int64_t rows,
                                    std::int64_t cols, std::int64_t pitch, Acc* __restrict out) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const Acc weight = row_weights[r];
    Acc* __restrict line = out + r * pitch;
    if (combine == Combine::kAdd) {
      for (std::int64_t c = 0; c < cols; ++c) line[c] += weight * col_weights[c];
    } else {
      for (std::int64_t c = 0; c < cols; ++c) {
        const Acc value = weight * col_weights[c];
        line[c] = value > line[c] ? value : line[c];
      }
    }
  }
}

FASTCOUNT_MULTIVERSION
void draw_one(Combine combine, const float* row_weights, const float* col_weights,
              std::int64_t rows, std::int64_t cols, std::int64_t pitch, float* out) {
  outer_product(combine, row_weights, col_weights, rows, cols, pitch, out);
}

FASTCOUNT_MULTIVERSION
void draw_one(Combine combine, const double* row_weights, const double* col_weights,
              std::int64_t rows, std::int64_t cols, std::int64_t pitch, double* out) {
  outer_product(combine, row_weights, col_weights, rows, cols, pitch, out);
}

}  // namespace

// Tile by tile, in a copy small enough for the first cache: a whole kernel is not, and rows of a
// map whose width is a power of two would push each other out.
template <typename Acc>
void draw_splats(const Splat* splats, std::int64_t begin, std::int64_t end, const Acc* weights,
                 std::int64_t first_row, std::int64_t last_row, bool fresh, SplatMap<Acc> map) {
  constexpr std::int64_t kTileCols = kTileBytes / sizeof(Acc);
  alignas(64) Acc tile[kTileRows * kTileCols];
  std::vector<const Splat*> in_band;
  std::vector<const Splat*> in_tile;
  for (std::int64_t top = first_row; top < last_row; top += kTileRows) {
    const std::int64_t bottom = std::min(top + kTileRows, last_row);
    in_band.clear();
    for (const Splat* splat = splats + begin; splat < splats + end; ++splat) {
      if (splat->first_row < bottom && splat->first_row + splat->rows > top) {
        in_band.push_back(splat);
      }
    }
    for (std::int64_t left = 0; left < map.cols; left += kTileCols) {
      const std::int64_t right = std::min(left + kTileCols, map.cols);
      in_tile.clear();
      for (const Splat* splat : in_band) {
        if (splat->first_col < right && splat->first_col + splat->cols > left) {
          in_tile.push_back(splat);
        }
      }
      if (in_tile.empty()) {
        for (std::int64_t row = top; fresh && row < bottom; ++row) {
          std::fill(map.cells + row * map.cols + left, map.cells + row * map.cols + right, Acc(0));
        }
        continue;
      }
      for (std::int64_t row = top; row < bottom; ++row) {
        const Acc* line = map.cells + row * map.cols;
        Acc* copy = tile + (row - top) * kTileCols;
        if (fresh) {
          std::fill(copy, copy + kTileCols, Acc(0));
        } else {
          std::copy(line + left, line + right, copy);
        }
      }
      for (const Splat* splat : in_tile) {
        const std::int64_t low = std::max(top, splat->first_row);
        const std::int64_t high = std::min(bottom, splat->first_row + splat->rows);
        const std::int64_t start = std::max(left, splat->first_col);
        const std::int64_t stop = std::min(right, splat->first_col + splat->cols);
        draw_one(map.combine, weights + splat->row_weights + (low - splat->first_row),
                 weights + splat->col_weights + (start - splat->first_col), high - low,
                 stop - start, kTileCols, tile + (low - top) * kTileCols + (start - left));
      }
      for (std::int64_t row = top; row < bottom; ++row) {
        const Acc* line = tile + (row - top) * kTileCols;
        Acc* out = map.cells + row * map.cols + left;
        for (std::int64_t c = 0; c < right - left; ++c) out[c] = std::min(line[c], map.ceiling);
      }
    }
  }
}

template void draw_splats<float>(const Splat*, std::int64_t, std::int64_t, const float*,
                                 std::int64_t, std::int64_t, bool, SplatMap<float>);
template void draw_splats<double>(const Splat*, std::int64_t, std::int64_t, const double*,
                                  std::int64_t, std::int64_t, bool, SplatMap<double>);

}  // namespace fastcount::cpu
