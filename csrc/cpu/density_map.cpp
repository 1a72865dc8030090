#include "cpu/density_map.h"

#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "cpu/gaussian_table.h"
#include "cpu/multiversion.h"
#include "math/density_map.h"

namespace fastcount::cpu {
namespace {

constexpr std::int64_t kBlock = 512;      // weights held at once on the stack
constexpr std::int64_t kLanes = 8;        // divides kBlock
constexpr std::int64_t kBucketShift = 6;  // overlap is counted in buckets of 64 x 64 pixels

struct Footprint {
  Window rows;
  Window cols;
  bool inside;
};

Footprint footprint(DensityPoints points, std::int64_t index, DensityGrid grid, double truncate) {
  const double x = points.xy[2 * index];
  const double y = points.xy[2 * index + 1];
  if (!inside_axis(x, grid.width) || !inside_axis(y, grid.height)) return {{}, {}, false};
  const std::int64_t radius = window_radius(points.sigma[index], truncate);
  return {window_inside(nearest_pixel(y, grid.height), radius, grid.height),
          window_inside(nearest_pixel(x, grid.width), radius, grid.width), true};
}

// Four sums side by side: a vector, and no wait for the last addition at every step.
FASTCOUNT_INLINE double sum(const double* values, std::int64_t count) {
  double sums[4] = {};
  std::int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (int k = 0; k < 4; ++k) sums[k] += values[i + k];
  }
  for (; i < count; ++i) sums[0] += values[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

FASTCOUNT_MULTIVERSION
void fill_block(double offset, double fraction, double rate, int count, double* block) {
  for (int i = 0; i < count; ++i) {
    block[i] = gaussian_weight(offset + static_cast<double>(i), fraction, rate);
  }
}

FASTCOUNT_MULTIVERSION
void add_pairs(const double* __restrict values, std::int64_t count, double* __restrict pairs) {
  for (std::int64_t i = 0; i < count; ++i) pairs[i] = values[2 * i] + values[2 * i + 1];
}

// Adds `count` fine cells to coarse ones of `factor` each, the first of which has `left` of them
// still to come.
void pool(const double* fine, std::int64_t count, std::int64_t left, std::int64_t factor,
          double* coarse) {
  for (std::int64_t at = 0; at < count; left = factor) {
    const std::int64_t next = std::min(at + left, count);
    double total = *coarse;
    for (; at < next; ++at) total += fine[at];
    *coarse++ = total;
  }
}

// Weights of the pixels of `window`, added to the cells of the grid, all 0 before, and divided by
// their sum (renormalize) or by the sum over the whole window, inside the picture or not. `table`:
// of this sigma, or null where there is none.
FASTCOUNT_MULTIVERSION
void axis_weights(double position, double sigma, double truncate, std::int64_t size,
                  const DensityGrid& grid, bool renormalize, Window window,
                  const GaussianTable* table, double* cells) {
  const std::int64_t pixel = nearest_pixel(position, size);
  const double fraction = position - static_cast<double>(pixel);
  const double rate = gaussian_rate(sigma);
  const std::int64_t first_cell = grid.cell(window.first);
  const std::int64_t count = grid.cell(window.last) - first_cell + 1;
  const std::int64_t group = std::int64_t{1} << grid.halvings;
  const std::int64_t factor = grid.stride >> grid.halvings;
  double weights[kBlock + 2 * kLanes];
  double pairs[kBlock / 2 + kLanes];
  for (std::int64_t start = window.first & -group; start <= window.last; start += kBlock) {
    const std::int64_t first = std::max(start, window.first);
    const std::int64_t lead = first - start;
    const std::int64_t length = std::min(start + kBlock, window.last + 1) - first;
    std::fill(weights, weights + lead, 0.0);
    if (table != nullptr) {
      table->row(fraction, first - pixel, length, weights + lead);
    } else {
      // Whole vectors only: a scalar rest would cost more than the few weights too many.
      const std::int64_t padded = (length + kLanes - 1) / kLanes * kLanes;
      fill_block(static_cast<double>(first - pixel) - fraction, fraction, rate,
                 static_cast<int>(padded), weights + lead);
    }
    std::fill(weights + lead + length, weights + lead + length + group, 0.0);
    const std::int64_t groups = (lead + length + group - 1) >> grid.halvings;
    double* fine = weights;
    double* spare = pairs;
    for (int halving = 1; halving <= grid.halvings; ++halving) {
      add_pairs(fine, groups << (grid.halvings - halving), spare);
      std::swap(fine, spare);
    }
    if (factor == 1) {
      double* own = cells + ((start >> grid.halvings) - first_cell);
      for (std::int64_t i = 0; i < groups; ++i) own[i] += fine[i];
    } else {
      const std::int64_t cell = grid.cell(start);
      pool(fine, groups, (cell + 1) * factor - (start >> grid.halvings), factor,
           cells + (cell - first_cell));
    }
  }
  double total = sum(cells, count);
  if (!renormalize) {
    const std::int64_t radius = window_radius(sigma, truncate);
    const bool cut = window.last - window.first != 2 * radius;
    if (cut) total = full_window_sum(fraction, sigma, radius);
  }
  const double scale = 1.0 / total;
  for (std::int64_t i = 0; i < count; ++i) cells[i] *= scale;
}

}  // namespace

std::int64_t max_overlap(DensityPoints points, std::int64_t count, DensityGrid grid,
                         double truncate) {
  const std::int64_t wide = (grid.width >> kBucketShift) + 1;
  const std::int64_t high = (grid.height >> kBucketShift) + 1;
  std::vector<std::int64_t> overlap(static_cast<std::size_t>(wide * high));
  std::int64_t most = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const Footprint at = footprint(points, i, grid, truncate);
    if (!at.inside) continue;
    for (std::int64_t r = at.rows.first >> kBucketShift; r <= at.rows.last >> kBucketShift; ++r) {
      for (std::int64_t c = at.cols.first >> kBucketShift; c <= at.cols.last >> kBucketShift; ++c) {
        most = std::max(most, ++overlap[static_cast<std::size_t>(r * wide + c)]);
      }
    }
  }
  return most;
}

void plan_splats(DensityPoints points, std::int64_t begin, std::int64_t end, double truncate,
                 const DensityGrid& grid, std::int64_t align, Splat* splats) {
  for (std::int64_t i = begin; i < end; ++i) {
    const Footprint at = footprint(points, i, grid, truncate);
    Splat& splat = splats[i];
    splat = {};
    if (!at.inside) continue;
    splat.first_row = grid.cell(at.rows.first);
    splat.first_col = grid.cell(at.cols.first);
    splat.rows = grid.cell(at.rows.last) - splat.first_row + 1;
    splat.cols = grid.cell(at.cols.last) - splat.first_col + 1;
    align_columns(splat, align, grid.cols());
  }
}

template <typename Acc>
void fill_weights(DensityPoints points, std::int64_t begin, std::int64_t end, double truncate,
                  bool renormalize, const DensityGrid& grid, const Splat* splats, Acc* weights) {
  std::vector<double> beside;  // made in double: at their place where weights are kept so
  GaussianTable table;
  for (std::int64_t i = begin; i < end; ++i) {
    const Footprint at = footprint(points, i, grid, truncate);
    if (!at.inside) continue;
    const double sigma = points.sigma[i];
    const GaussianTable* tabled =
        table.prepare(sigma, window_radius(sigma, truncate)) ? &table : nullptr;
    for (const bool columns : {false, true}) {
      const Splat& splat = splats[i];
      const Window window = columns ? at.cols : at.rows;
      const std::int64_t first = grid.cell(window.first);
      const std::int64_t used = grid.cell(window.last) - first + 1;
      const std::int64_t lead = first - (columns ? splat.first_col : splat.first_row);
      const std::int64_t length = columns ? splat.cols : splat.rows;
      Acc* out = weights + (columns ? splat.col_weights : splat.row_weights);
      double* made = nullptr;
      if constexpr (std::is_same_v<Acc, double>) {
        made = out + lead;
      } else {
        const auto room = static_cast<std::size_t>(used);
        if (beside.size() < room) beside.resize(room);
        made = beside.data();
      }
      std::fill(made, made + used, 0.0);
      axis_weights(points.xy[2 * i + (columns ? 0 : 1)], sigma, truncate,
                   columns ? grid.width : grid.height, grid, renormalize, window, tabled, made);
      if constexpr (!std::is_same_v<Acc, double>) std::copy(made, made + used, out + lead);
      if (used == length) continue;
      std::fill(out, out + lead, Acc(0));
      std::fill(out + lead + used, out + length, Acc(0));
    }
  }
}

template void fill_weights<float>(DensityPoints, std::int64_t, std::int64_t, double, bool,
                                  const DensityGrid&, const Splat*, float*);
template void fill_weights<double>(DensityPoints, std::int64_t, std::int64_t, double, bool,
                                   const DensityGrid&, const Splat*, double*);

}  // namespace fastcount::cpu
