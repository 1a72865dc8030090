// Outer products of two rows of weights, drawn into a map: what Gaussian maps are made of.
//
// Every cell receives its splats in the order in which they come, whatever the division of rows
// between threads, so the bits of a map do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <span>

#include "cpu/buckets.h"

namespace fastcount::cpu {

// What one point gives to one map: weights[row_weights ..] times weights[col_weights ..].
// A point that draws nothing has rows == 0.
struct Splat {
  std::int64_t first_row;
  std::int64_t first_col;
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t row_weights;
  std::int64_t col_weights;
};

// Widens a splat's columns to multiples of `align` where the map has room: whole vectors, aligned
// where the map's rows are. The weights there are 0.
inline void align_columns(Splat& splat, std::int64_t align, std::int64_t map_cols) {
  const std::int64_t end = (splat.first_col + splat.cols + align - 1) / align * align;
  if (end > map_cols) return;
  splat.first_col = splat.first_col / align * align;
  splat.cols = end - splat.first_col;
}

enum class Combine { kAdd, kMax };

// Sums are made in Acc and kept in Out, which is rounded to once for each call of draw_band.
template <typename Acc, typename Out>
struct SplatMap {
  Out* cells;  // [rows, cols] of one picture
  std::int64_t rows;
  std::int64_t cols;
  Combine combine;
  Acc ceiling;  // of a cell's value; weights must not be negative
};

// Rows that are drawn together.
constexpr std::int64_t kBandRows = 32;

constexpr std::int64_t bands_of(std::int64_t rows) { return (rows - 1) / kBandRows + 1; }

// Which of splats begin .. end - 1 reach each band of a map.
Buckets splats_by_band(const Splat* splats, std::int64_t begin, std::int64_t end,
                       std::int64_t rows);

// Draws `chosen` of the splats into one band of the map. `fresh`: the map holds nothing yet, and
// the band is written whole.
template <typename Acc, typename Out>
void draw_band(const Splat* splats, std::span<const std::int32_t> chosen, const Acc* weights,
               std::int64_t band, bool fresh, const SplatMap<Acc, Out>& map);

}  // namespace fastcount::cpu
