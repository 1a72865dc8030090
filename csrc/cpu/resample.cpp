#include "cpu/resample.h"

#include <algorithm>
#include <cstring>

#include "cpu/multiversion.h"
#include "math/resample.h"

namespace fastcount::cpu {
namespace {

// A pixel as red, green, blue and one lane to spare. Left to itself, a compiler makes vectors of
// the few pixels that one is made of, and is slower than without any.
typedef std::int32_t Lanes __attribute__((vector_size(16)));

FASTCOUNT_MULTIVERSION
void widen_row(const std::uint8_t* row, std::int64_t values, std::int32_t* wide) {
  for (std::int64_t i = 0; i < values; ++i) wide[i] = row[i];
}

// `wide` holds the values from pixel `begin` on, and one more that is read behind the last.
FASTCOUNT_MULTIVERSION
void scale_across(const std::int32_t* wide, std::int64_t begin, const std::int64_t* first,
                  const std::int32_t* count, const std::int32_t* weights, std::int64_t most,
                  std::int64_t pixels, std::uint8_t* out) {
  for (std::int64_t x = 0; x < pixels; ++x) {
    const std::int32_t* from = wide + 3 * (first[x] - begin);
    const std::int32_t* weight = weights + x * most;
    Lanes sums = {kHalf, kHalf, kHalf, kHalf};
    for (std::int32_t i = 0; i < count[x]; ++i) {
      Lanes pixel;
      std::memcpy(&pixel, from + 3 * i, sizeof(pixel));
      sums += weight[i] * pixel;
    }
    for (int c = 0; c < 3; ++c) out[3 * x + c] = static_cast<std::uint8_t>(pixel_of_sum(sums[c]));
  }
}

constexpr std::int64_t kBlock = 64;

FASTCOUNT_INLINE void add_rows(const std::uint8_t* rows, std::int64_t stride,
                               const std::int32_t* weights, std::int32_t count, std::int64_t size,
                               std::uint8_t* out) {
  std::int32_t sums[kBlock];
  for (std::int64_t x = 0; x < size; ++x) sums[x] = kHalf;
  for (std::int32_t i = 0; i < count; ++i) {
    const std::uint8_t* row = rows + i * stride;
    const std::int32_t weight = weights[i];
    for (std::int64_t x = 0; x < size; ++x) sums[x] += weight * row[x];
  }
  for (std::int64_t x = 0; x < size; ++x) {
    out[x] = static_cast<std::uint8_t>(pixel_of_sum(sums[x]));
  }
}

FASTCOUNT_MULTIVERSION
void scale_down(const std::uint8_t* rows, std::int64_t stride, const std::int32_t* weights,
                std::int32_t count, std::int64_t values, std::uint8_t* out) {
  std::int64_t x = 0;
  for (; x + kBlock <= values; x += kBlock) {
    add_rows(rows + x, stride, weights, count, kBlock, out + x);
  }
  if (x < values) add_rows(rows + x, stride, weights, count, values - x, out + x);
}

}  // namespace

AxisWeights axis_weights(std::int64_t length, std::int64_t scaled, std::int64_t begin,
                         std::int64_t end) {
  const double wider = widening(length, scaled);
  const double inverse = 1.0 / wider;
  AxisWeights axis;
  axis.begin = length;
  axis.most = 2 * static_cast<std::int64_t>(wider) + 3;
  const auto pixels = static_cast<std::size_t>(end - begin);
  axis.first.reserve(pixels);
  axis.count.reserve(pixels);
  axis.weights.assign(pixels * static_cast<std::size_t>(axis.most), 0);
  std::vector<double> exact(static_cast<std::size_t>(axis.most));
  for (std::int64_t at = begin; at < end; ++at) {
    Reach taken = reach(length, scaled, at);
    double total = 0.0;
    for (std::int64_t from = taken.first; from < taken.last; ++from) {
      total += exact[static_cast<std::size_t>(from - taken.first)] = triangle(taken, from, inverse);
    }
    // Zeros at either end are left out: they add nothing.
    std::int32_t* weights = axis.weights.data() + (at - begin) * axis.most;
    std::int64_t first = taken.last;
    std::int32_t count = 0;
    for (std::int64_t from = taken.first; from < taken.last; ++from) {
      const double share = exact[static_cast<std::size_t>(from - taken.first)] / total;
      const std::int32_t weight = whole_weight(share);
      if (weight == 0 && count == 0) continue;
      first = std::min(first, from);
      weights[from - first] = weight;
      if (weight != 0) count = static_cast<std::int32_t>(from - first) + 1;
    }
    if (count == 0) first = taken.first, count = 1;  // of more pixels than whole weights can share
    axis.first.push_back(first);
    axis.count.push_back(count);
    axis.begin = std::min(axis.begin, first);
    axis.end = std::max(axis.end, first + count);
  }
  return axis;
}

void scale_strip(const std::uint8_t* picture, std::int64_t width, const AxisWeights& rows,
                 const AxisWeights& columns, std::int64_t first_row, std::int64_t last_row,
                 ScaleScratch& scratch, std::uint8_t* out, std::int64_t out_stride) {
  const auto pixels = static_cast<std::int64_t>(columns.first.size());
  const auto at = static_cast<std::size_t>(first_row);
  const auto behind = static_cast<std::size_t>(last_row);
  std::int64_t top = rows.first[at];
  std::int64_t bottom = top;
  for (std::size_t y = at; y < behind; ++y) {
    top = std::min(top, rows.first[y]);
    bottom = std::max(bottom, rows.first[y] + rows.count[y]);
  }
  const std::int64_t left = columns.begin;
  const std::int64_t right = columns.end;
  scratch.wide.resize(static_cast<std::size_t>(3 * (right - left) + 1));
  scratch.across.resize(static_cast<std::size_t>((bottom - top) * 3 * pixels));
  for (std::int64_t y = top; y < bottom; ++y) {
    widen_row(picture + 3 * (y * width + left), 3 * (right - left), scratch.wide.data());
    scale_across(scratch.wide.data(), left, columns.first.data(), columns.count.data(),
                 columns.weights.data(), columns.most, pixels,
                 scratch.across.data() + (y - top) * 3 * pixels);
  }
  for (std::size_t y = at; y < behind; ++y) {
    scale_down(scratch.across.data() + (rows.first[y] - top) * 3 * pixels, 3 * pixels,
               rows.weights.data() + static_cast<std::int64_t>(y) * rows.most, rows.count[y],
               3 * pixels, out + static_cast<std::int64_t>(y - at) * out_stride);
  }
}

}  // namespace fastcount::cpu
