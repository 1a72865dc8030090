#include "cpu/density_map.h"

#include <algorithm>
#include <vector>

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

// Weights of the pixels of `window`, added up over cells of the grid and divided by their sum
// (renormalize) or by the sum over the whole window, inside the picture or not.
FASTCOUNT_MULTIVERSION
void axis_weights(double position, double sigma, double truncate, std::int64_t size,
                  DensityGrid grid, bool renormalize, Window window, double* cells) {
  const std::int64_t pixel = nearest_pixel(position, size);
  const double fraction = position - static_cast<double>(pixel);
  const double rate = gaussian_rate(sigma);
  const std::int64_t first_cell = grid.cell(window.first);
  const std::int64_t count = grid.cell(window.last) - first_cell + 1;
  std::fill(cells, cells + count, 0.0);
  double block[kBlock];
  double total = 0.0;
  for (std::int64_t start = window.first; start <= window.last; start += kBlock) {
    const std::int64_t stop = std::min(start + kBlock, window.last + 1);
    const double offset = static_cast<double>(start - pixel) - fraction;
    const std::int64_t length = stop - start;
    // Whole vectors only: a scalar rest would cost more than the few weights too many.
    const int padded = static_cast<int>((length + kLanes - 1) / kLanes) * kLanes;
    for (int i = 0; i < padded; ++i) {
      block[i] = gaussian_weight(offset + static_cast<double>(i), fraction, rate);
    }
    total += sum(block, length);
    if (grid.stride == 1) {
      std::copy(block, block + length, cells + (start - window.first));
      continue;
    }
    std::int64_t cell = grid.cell(start);
    for (std::int64_t at = start; at < stop; ++cell) {
      const std::int64_t next = std::min(stop, (cell + 1) * grid.stride);
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

// Adds up the cells first .. last of a fine grid over those of a coarse one.
void pool(const double* fine, std::int64_t first, std::int64_t last, std::int64_t factor,
          double* coarse) {
  std::int64_t left = factor - first % factor;  // fine cells until the coarse one ends
  double total = 0.0;
  for (std::int64_t at = first; at <= last; ++at) {
    total += *fine++;
    if (--left > 0 && at < last) continue;
    *coarse++ = total;
    total = 0.0;
    left = factor;
  }
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

void plan_splats(DensityPoints points, std::int64_t count, DensityGrid grid, double truncate,
                 std::int64_t align, Splat* splats) {
  const std::int64_t map_cols = grid.cols();
  for (std::int64_t i = 0; i < count; ++i) {
    const Footprint at = footprint(points, i, grid, truncate);
    Splat& splat = splats[i];
    splat = {};
    if (!at.inside) continue;
    splat.first_row = grid.cell(at.rows.first);
    splat.first_col = grid.cell(at.cols.first);
    splat.rows = grid.cell(at.rows.last) - splat.first_row + 1;
    splat.cols = grid.cell(at.cols.last) - splat.first_col + 1;
    align_columns(splat, align, map_cols);
  }
}

template <typename Acc>
void fill_weights(DensityPoints points, std::int64_t begin, std::int64_t end, double truncate,
                  bool renormalize, const DensityLevel<Acc>* levels, int level_count) {
  std::vector<std::vector<double>> cells(static_cast<std::size_t>(level_count));
  const DensityGrid picture = levels[0].grid;
  for (std::int64_t i = begin; i < end; ++i) {
    const Footprint at = footprint(points, i, picture, truncate);
    if (!at.inside) continue;
    for (const bool columns : {false, true}) {
      const double position = points.xy[2 * i + (columns ? 0 : 1)];
      const std::int64_t size = columns ? picture.width : picture.height;
      const Window window = columns ? at.cols : at.rows;
      for (int j = 0; j < level_count; ++j) {
        const DensityLevel<Acc>& level = levels[j];
        const std::int64_t first = level.grid.cell(window.first);
        const std::int64_t used = level.grid.cell(window.last) - first + 1;
        std::vector<double>& own = cells[static_cast<std::size_t>(j)];
        if (own.size() < static_cast<std::size_t>(used)) own.resize(static_cast<std::size_t>(used));
        if (level.source < 0) {
          axis_weights(position, points.sigma[i], truncate, size, level.grid, renormalize, window,
                       own.data());
        } else {
          const DensityGrid& fine = levels[level.source].grid;
          pool(cells[static_cast<std::size_t>(level.source)].data(), fine.cell(window.first),
               fine.cell(window.last), level.grid.stride / fine.stride, own.data());
        }
        const Splat& splat = level.splats[i];
        const std::int64_t begins = columns ? splat.first_col : splat.first_row;
        const std::int64_t length = columns ? splat.cols : splat.rows;
        Acc* out = level.weights + (columns ? splat.col_weights : splat.row_weights);
        std::fill(out, out + (first - begins), Acc(0));
        std::copy(own.data(), own.data() + used, out + (first - begins));
        std::fill(out + (first - begins) + used, out + length, Acc(0));
      }
    }
  }
}

#define FASTCOUNT_INSTANTIATE(Acc)                                                         \
  template void fill_weights<Acc>(DensityPoints, std::int64_t, std::int64_t, double, bool, \
                                  const DensityLevel<Acc>*, int);
FASTCOUNT_INSTANTIATE(float)
FASTCOUNT_INSTANTIATE(double)

}  // namespace fastcount::cpu
