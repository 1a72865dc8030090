#include "cpu/splat.h"

#include <algorithm>
#include <cstring>
#include <ranges>

#include "cpu/multiversion.h"

namespace fastcount::cpu {
namespace {

constexpr std::int64_t kTileBytes = 512;  // of one row of a tile, which makes 16 KiB

template <Combine kCombine, typename Acc>
FASTCOUNT_INLINE Acc combined(Acc before, Acc value) {
  if (kCombine == Combine::kAdd) return before + value;
  return value > before ? value : before;
}

// Four rows together: their columns' weights are read once.
template <Combine kCombine, typename Acc>
FASTCOUNT_INLINE void draw_four(const Acc* row_weights, const Acc* __restrict col_weights,
                                std::int64_t cols, Acc* __restrict first, Acc* __restrict second,
                                Acc* __restrict third, Acc* __restrict fourth) {
  const Acc a = row_weights[0];
  const Acc b = row_weights[1];
  const Acc c = row_weights[2];
  const Acc d = row_weights[3];
  for (std::int64_t i = 0; i < cols; ++i) {
    const Acc weight = col_weights[i];
    first[i] = combined<kCombine>(first[i], a * weight);
    second[i] = combined<kCombine>(second[i], b * weight);
    third[i] = combined<kCombine>(third[i], c * weight);
    fourth[i] = combined<kCombine>(fourth[i], d * weight);
  }
}

template <Combine kCombine, typename Acc>
FASTCOUNT_INLINE void outer_product(const Acc* row_weights, const Acc* __restrict col_weights,
                                    std::int64_t rows, std::int64_t cols, std::int64_t pitch,
                                    Acc* __restrict out) {
  std::int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    Acc* line = out + r * pitch;
    draw_four<kCombine>(row_weights + r, col_weights, cols, line, line + pitch, line + 2 * pitch,
                        line + 3 * pitch);
  }
  for (; r < rows; ++r) {
    const Acc weight = row_weights[r];
    Acc* __restrict line = out + r * pitch;
    for (std::int64_t i = 0; i < cols; ++i) {
      line[i] = combined<kCombine>(line[i], weight * col_weights[i]);
    }
  }
}

// A tile's row, bounded, as the map keeps it.
template <typename Acc, typename Out>
FASTCOUNT_INLINE void copy_bounded(const Acc* __restrict tile, std::int64_t rows, std::int64_t cols,
                                   Acc ceiling, std::int64_t pitch, Out* __restrict out) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const Acc* __restrict from = tile + r * kTileBytes / static_cast<std::int64_t>(sizeof(Acc));
    Out* __restrict to = out + r * pitch;
    for (std::int64_t i = 0; i < cols; ++i) {
      to[i] = static_cast<Out>(ceiling < from[i] ? ceiling : from[i]);
    }
  }
}

#define FASTCOUNT_DRAW_ONE(Acc)                                                       \
  FASTCOUNT_MULTIVERSION                                                              \
  void draw_one(Combine combine, const Acc* row_weights, const Acc* col_weights,      \
                std::int64_t rows, std::int64_t cols, std::int64_t pitch, Acc* out) { \
    if (combine == Combine::kAdd) {                                                   \
      outer_product<Combine::kAdd>(row_weights, col_weights, rows, cols, pitch, out); \
    } else {                                                                          \
      outer_product<Combine::kMax>(row_weights, col_weights, rows, cols, pitch, out); \
    }                                                                                 \
  }
#define FASTCOUNT_COPY_OUT(Acc, Out)                                                \
  FASTCOUNT_MULTIVERSION                                                            \
  void copy_out(const Acc* tile, std::int64_t rows, std::int64_t cols, Acc ceiling, \
                std::int64_t pitch, Out* out) {                                     \
    copy_bounded(tile, rows, cols, ceiling, pitch, out);                            \
  }

FASTCOUNT_DRAW_ONE(float)
FASTCOUNT_DRAW_ONE(double)
FASTCOUNT_COPY_OUT(float, float)
FASTCOUNT_COPY_OUT(double, float)
FASTCOUNT_COPY_OUT(double, double)
#undef FASTCOUNT_DRAW_ONE
#undef FASTCOUNT_COPY_OUT

}  // namespace

Buckets splats_by_band(const Splat* splats, std::int64_t begin, std::int64_t end,
                       std::int64_t rows) {
  Buckets bands;
  bands.fill(bands_of(rows), std::views::iota(begin, std::max(begin, end)), [&](std::int64_t i) {
    const Splat& splat = splats[i];
    if (splat.rows == 0) return BucketRange{0, -1};
    return BucketRange{splat.first_row / kBandRows, (splat.first_row + splat.rows - 1) / kBandRows};
  });
  return bands;
}

// Tile by tile, in a copy small enough for the first cache: a whole kernel is not, and rows of a
// map whose width is a power of two would push each other out.
template <typename Acc, typename Out>
void draw_band(const Splat* splats, std::span<const std::int32_t> chosen, const Acc* weights,
               std::int64_t band, bool fresh, const SplatMap<Acc, Out>& map) {
  constexpr std::int64_t kTileCols = kTileBytes / sizeof(Acc);
  alignas(64) Acc tile[kBandRows * kTileCols];
  const std::int64_t top = band * kBandRows;
  const std::int64_t bottom = std::min(top + kBandRows, map.rows);
  const std::int64_t tile_count = (map.cols - 1) / kTileCols + 1;
  Buckets tiles;
  tiles.fill(tile_count, chosen, [&](std::int32_t i) {
    const Splat& splat = splats[i];
    return BucketRange{splat.first_col / kTileCols, (splat.first_col + splat.cols - 1) / kTileCols};
  });
  for (std::int64_t t = 0; t < tile_count; ++t) {
    const std::int64_t left = t * kTileCols;
    const std::int64_t right = std::min(left + kTileCols, map.cols);
    if (tiles[t].empty()) {
      for (std::int64_t row = top; fresh && row < bottom; ++row) {
        std::fill(map.cells + row * map.cols + left, map.cells + row * map.cols + right, Out(0));
      }
      continue;
    }
    if (fresh) {
      std::memset(tile, 0, sizeof(tile));
    } else {
      for (std::int64_t row = top; row < bottom; ++row) {
        const Out* line = map.cells + row * map.cols;
        std::copy(line + left, line + right, tile + (row - top) * kTileCols);
      }
    }
    for (const std::int32_t i : tiles[t]) {
      const Splat& splat = splats[i];
      const std::int64_t low = std::max(top, splat.first_row);
      const std::int64_t high = std::min(bottom, splat.first_row + splat.rows);
      const std::int64_t start = std::max(left, splat.first_col);
      const std::int64_t stop = std::min(right, splat.first_col + splat.cols);
      draw_one(map.combine, weights + splat.row_weights + (low - splat.first_row),
               weights + splat.col_weights + (start - splat.first_col), high - low, stop - start,
               kTileCols, tile + (low - top) * kTileCols + (start - left));
    }
    copy_out(tile, bottom - top, right - left, map.ceiling, map.cols,
             map.cells + top * map.cols + left);
  }
}

#define FASTCOUNT_INSTANTIATE(Acc, Out)                                                      \
  template void draw_band<Acc, Out>(const Splat*, std::span<const std::int32_t>, const Acc*, \
                                    std::int64_t, bool, const SplatMap<Acc, Out>&);
FASTCOUNT_INSTANTIATE(float, float)
FASTCOUNT_INSTANTIATE(double, float)
FASTCOUNT_INSTANTIATE(double, double)

}  // namespace fastcount::cpu
