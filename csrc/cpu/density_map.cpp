#include "cpu/density_map.h"

#include <algorithm>
#include <vector>

#include "cpu/multiversion.h"
#include "math/density_map.h"

namespace fastcount::cpu {
namespace {

constexpr std::int64_t kBlock = 512;      // weights held at once on the stack
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

// Four partial sums: a single one would wait for its own last addition at every step.
FASTCOUNT_INLINE double sum(const double* values, std::int64_t count) {
  double a = 0.0, b = 0.0, c = 0.0, d = 0.0;
  std::int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    a += values[i];
    b += values[i + 1];
    c += values[i + 2];
    d += values[i + 3];
  }
  for (; i < count; ++i) a += values[i];
  return (a + b) + (c + d);
}

// Weights of the pixels of `window`, added up over cells of `stride` pixels and divided by their
// sum (renormalize) or by the sum over the whole window, inside the picture or not.
FASTCOUNT_MULTIVERSION
void axis_weights(double position, double sigma, double truncate, std::int64_t size,
                  std::int64_t stride, bool renormalize, Window window, double* cells) {
  const std::int64_t pixel = nearest_pixel(position, size);
  const double fraction = position - static_cast<double>(pixel);
  const double rate = gaussian_rate(sigma);
  const std::int64_t first_cell = window.first / stride;
  const std::int64_t count = window.last / stride - first_cell + 1;
  std::fill(cells, cells + count, 0.0);
  double block[kBlock];
  double total = 0.0;
  for (std::int64_t start = window.first; start <= window.last; start += kBlock) {
    const std::int64_t stop = std::min(start + kBlock, window.last + 1);
    const double offset = static_cast<double>(start - pixel) - fraction;
    const int length = static_cast<int>(stop - start);
    for (int i = 0; i < length; ++i) {
      block[i] = gaussian_weight(offset + static_cast<double>(i), fraction, rate);
    }
    total += sum(block, length);
    if (stride == 1) {
      std::copy(block, block + length, cells + (start - window.first));
      continue;
    }
    for (std::int64_t at = start; at < stop;) {
      const std::int64_t cell = at / stride;
      const std::int64_t next = std::min(stop, (cell + 1) * stride);
      cells[cell - first_cell] += sum(block + (at - start), next - at);
      at = next;
    }
  }
  if (!renormalize) {
    const std::int64_t radius = window_radius(sigma, truncate);
    const bool cut = window.last - window.first != 2 * radius;
    if (cut) total = full_window_sum(fraction, sigma, radius);
  }
  const double scale = 1.0 / total;
  for (std::int64_t i = 0; i < count; ++i) cells[i] *= scale;
}

template <typename Acc>
FASTCOUNT_INLINE void add_rows(const Acc* row_weights, const Acc* __restrict col_weights,
                               std::int64_t rows, std::int64_t cols, std::int64_t pitch,
                               Acc* __restrict out) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const Acc weight = row_weights[r];
    Acc* __restrict line = out + r * pitch;
    for (std::int64_t c = 0; c < cols; ++c) line[c] += weight * col_weights[c];
  }
}

FASTCOUNT_MULTIVERSION
void outer_product(const float* row_weights, const float* col_weights, std::int64_t rows,
                   std::int64_t cols, std::int64_t pitch, float* out) {
  add_rows(row_weights, col_weights, rows, cols, pitch, out);
}

FASTCOUNT_MULTIVERSION
void outer_product(const double* row_weights, const double* col_weights, std::int64_t rows,
                   std::int64_t cols, std::int64_t pitch, double* out) {
  add_rows(row_weights, col_weights, rows, cols, pitch, out);
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

void plan_splats(DensityPoints points, std::int64_t begin, std::int64_t end, DensityGrid grid,
                 double truncate, std::int64_t align, Splat* splats) {
  const std::int64_t map_cols = grid.cols();
  for (std::int64_t i = begin; i < end; ++i) {
    const Footprint at = footprint(points, i, grid, truncate);
    Splat& splat = splats[i];
    splat = {};
    if (!at.inside) continue;
    splat.first_row = at.rows.first / grid.stride;
    splat.first_col = at.cols.first / grid.stride;
    splat.rows = at.rows.last / grid.stride - splat.first_row + 1;
    splat.cols = at.cols.last / grid.stride - splat.first_col + 1;
    const std::int64_t widened = (splat.cols + align - 1) / align * align;
    if (widened <= map_cols) {
      splat.cols = widened;
      splat.first_col = std::min(splat.first_col, map_cols - widened);
    }
  }
}

template <typename Acc>
void fill_weights(DensityPoints points, std::int64_t begin, std::int64_t end, DensityGrid grid,
                  double truncate, bool renormalize, const Splat* splats, Acc* weights) {
  std::vector<double> cells;
  for (std::int64_t i = begin; i < end; ++i) {
    const Splat& splat = splats[i];
    if (splat.rows == 0) continue;
    const Footprint at = footprint(points, i, grid, truncate);
    const double sigma = points.sigma[i];
    cells.resize(static_cast<std::size_t>(std::max(splat.rows, splat.cols)));

    axis_weights(points.xy[2 * i + 1], sigma, truncate, grid.height, grid.stride, renormalize,
                 at.rows, cells.data());
    std::copy(cells.begin(), cells.begin() + splat.rows, weights + splat.row_weights);

    axis_weights(points.xy[2 * i], sigma, truncate, grid.width, grid.stride, renormalize, at.cols,
                 cells.data());
    const std::int64_t lead = at.cols.first / grid.stride - splat.first_col;
    const std::int64_t used = at.cols.last / grid.stride - at.cols.first / grid.stride + 1;
    Acc* row = weights + splat.col_weights;
    std::fill(row, row + lead, Acc(0));
    std::copy(cells.begin(), cells.begin() + used, row + lead);
    std::fill(row + lead + used, row + splat.cols, Acc(0));
  }
}

template <typename Acc>
void add_splats(const Splat* splats, std::int64_t begin, std::int64_t end, const Acc* weights,
                std::int64_t first_row, std::int64_t last_row, std::int64_t cols, Acc* map) {
  for (std::int64_t i = begin; i < end; ++i) {
    const Splat& splat = splats[i];
    const std::int64_t low = std::max(first_row, splat.first_row);
    const std::int64_t high = std::min(last_row, splat.first_row + splat.rows);
    if (low >= high) continue;
    outer_product(weights + splat.row_weights + (low - splat.first_row),
                  weights + splat.col_weights, high - low, splat.cols, cols,
                  map + low * cols + splat.first_col);
  }
}

#define FASTCOUNT_INSTANTIATE(Acc)                                                                 \
  template void fill_weights<Acc>(DensityPoints, std::int64_t, std::int64_t, DensityGrid, double,  \
                                  bool, const Splat*, Acc*);                                       \
  template void add_splats<Acc>(const Splat*, std::int64_t, std::int64_t, const Acc*, std::int64_t, \
                                std::int64_t, std::int64_t, Acc*);
FASTCOUNT_INSTANTIATE(float)
FASTCOUNT_INSTANTIATE(double)

}  // namespace fastcount::cpu
