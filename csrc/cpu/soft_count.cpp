#include "cpu/soft_count.h"

#include <algorithm>
#include <limits>

#include "cpu/lane_sum.h"
#include "cpu/multiversion.h"

namespace fastcount::cpu {
namespace {

template <typename T>
FASTCOUNT_INLINE void raise_line(const T* row, std::int64_t width, T* line) {
  for (std::int64_t x = 0; x < width; ++x) line[x] = row[x] > line[x] ? row[x] : line[x];
}

template <typename T>
FASTCOUNT_INLINE void soften(const T* row, const T* greatest, std::int64_t width, T beta, T* out) {
  for (std::int64_t x = 0; x < width; ++x) out[x] = soft_peak(row[x], greatest[x], beta);
}

template <typename T>
FASTCOUNT_INLINE void detect(const T* row, const T* greatest, std::int64_t width,
                             const SoftCountRule<T>& rule, T* out) {
  const SoftCountRule<T> held = rule;
  for (std::int64_t x = 0; x < width; ++x) {
    out[x] = soft_detection(soft_peak(row[x], greatest[x], held.beta), held);
  }
}

// What each pixel keeps of its own gradient, and what it passes to its window's maximum.
template <typename T>
FASTCOUNT_INLINE void split_gradient(const T* row, const T* greatest, const T* grad,
                                     std::int64_t width, const SoftCountRule<T>& rule,
                                     bool detected, T grad_sum, T* own, T* passed) {
  const SoftCountRule<T> held = rule;
  for (std::int64_t x = 0; x < width; ++x) {
    const T slope =
        detected ? soft_detection_slope(soft_peak(row[x], greatest[x], held.beta), held) : T(1);
    const T by_peak = ((grad ? grad[x] : T(0)) + grad_sum) * slope;
    const SoftPeakSlopes<T> slopes = soft_peak_slopes(row[x], greatest[x], held.beta);
    own[x] = by_peak * slopes.by_value;
    passed[x] = by_peak * slopes.by_greatest;
  }
}

#define FASTCOUNT_SOFT_COUNT_LOOPS(T)                                                          \
  FASTCOUNT_MULTIVERSION                                                                       \
  void raise_to(const T* row, std::int64_t width, T* line) { raise_line(row, width, line); }   \
  FASTCOUNT_MULTIVERSION                                                                       \
  void soften_row(const T* row, const T* greatest, std::int64_t width, T beta, T* out) {       \
    soften(row, greatest, width, beta, out);                                                   \
  }                                                                                            \
  FASTCOUNT_MULTIVERSION                                                                       \
  void detect_row(const T* row, const T* greatest, std::int64_t width,                         \
                  const SoftCountRule<T>& rule, T* out) {                                      \
    detect(row, greatest, width, rule, out);                                                   \
  }                                                                                            \
  FASTCOUNT_MULTIVERSION                                                                       \
  double row_sum(const T* row, std::int64_t width) { return lane_sum(row, width); }            \
  FASTCOUNT_MULTIVERSION                                                                       \
  void split_row(const T* row, const T* greatest, const T* grad, std::int64_t width,           \
                 const SoftCountRule<T>& rule, bool detected, T grad_sum, T* own, T* passed) { \
    split_gradient(row, greatest, grad, width, rule, detected, grad_sum, own, passed);         \
  }

FASTCOUNT_SOFT_COUNT_LOOPS(float)
FASTCOUNT_SOFT_COUNT_LOOPS(double)
#undef FASTCOUNT_SOFT_COUNT_LOOPS

// The greatest value of the window around each pixel of row y: down the columns, then across.
template <typename T>
const T* window_maxima(const T* map, const MapShape& shape, std::int64_t y,
                       SoftCountScratch<T>& scratch) {
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  const std::int64_t width = shape.width;
  const std::int64_t across = std::min(shape.radius, width - 1);
  scratch.line.assign(static_cast<std::size_t>(width + 2 * across), lowest);
  scratch.greatest.assign(static_cast<std::size_t>(width), lowest);
  T* columns = scratch.line.data() + across;
  const std::int64_t top = std::max<std::int64_t>(y - shape.radius, 0);
  const std::int64_t bottom = std::min(y + shape.radius, shape.height - 1);
  for (std::int64_t row = top; row <= bottom; ++row) raise_to(map + row * width, width, columns);
  for (std::int64_t shift = -across; shift <= across; ++shift) {
    raise_to(columns + shift, width, scratch.greatest.data());
  }
  return scratch.greatest.data();
}

// Index of the first pixel of the window around (x, y) that holds its greatest value.
template <typename T>
std::int64_t first_maximum(const T* map, const MapShape& shape, std::int64_t x, std::int64_t y,
                           T greatest) {
  const std::int64_t left = std::max<std::int64_t>(x - shape.radius, 0);
  const std::int64_t right = std::min(x + shape.radius, shape.width - 1);
  const std::int64_t bottom = std::min(y + shape.radius, shape.height - 1);
  for (std::int64_t row = std::max<std::int64_t>(y - shape.radius, 0); row <= bottom; ++row) {
    for (std::int64_t col = left; col <= right; ++col) {
      if (map[row * shape.width + col] == greatest) return row * shape.width + col;
    }
  }
  return y * shape.width + x;  // only NaN in the window
}

}  // namespace

template <typename T>
void soft_peak_rows(const T* map, const MapShape& shape, T beta, std::int64_t first,
                    std::int64_t last, SoftCountScratch<T>& scratch, T* out) {
  for (std::int64_t y = first; y < last; ++y) {
    const T* greatest = window_maxima(map, shape, y, scratch);
    const std::int64_t start = y * shape.width;
    soften_row(map + start, greatest, shape.width, beta, out + start);
  }
}

template <typename T>
void soft_count_rows(const T* map, const MapShape& shape, const SoftCountRule<T>& rule,
                     std::int64_t first, std::int64_t last, SoftCountScratch<T>& scratch, T* out,
                     double* sums) {
  for (std::int64_t y = first; y < last; ++y) {
    const T* greatest = window_maxima(map, shape, y, scratch);
    T* row = out + y * shape.width;
    detect_row(map + y * shape.width, greatest, shape.width, rule, row);
    sums[y] = row_sum(row, shape.width);
  }
}

template <typename T>
void soft_count_gradient_rows(const T* map, const MapShape& shape, const SoftCountRule<T>& rule,
                              bool detect, const T* grad, T grad_sum, std::int64_t first,
                              std::int64_t last, SoftCountScratch<T>& scratch, T* out) {
  const std::int64_t width = shape.width;
  scratch.own.resize(static_cast<std::size_t>(width));
  scratch.passed.resize(static_cast<std::size_t>(width));
  std::fill(out + first * width, out + last * width, T(0));
  const std::int64_t top = std::max<std::int64_t>(first - shape.radius, 0);
  const std::int64_t bottom = std::min(last - 1 + shape.radius, shape.height - 1);
  for (std::int64_t y = top; y <= bottom; ++y) {
    const T* greatest = window_maxima(map, shape, y, scratch);
    const T* row_grad = grad ? grad + y * width : nullptr;
    split_row(map + y * width, greatest, row_grad, width, rule, detect, grad_sum,
              scratch.own.data(), scratch.passed.data());
    for (std::int64_t x = 0; x < width; ++x) {
      const auto i = static_cast<std::size_t>(x);
      if (y >= first && y < last) out[y * width + x] += scratch.own[i];
      if (scratch.passed[i] == T(0)) continue;
      const std::int64_t target = first_maximum(map, shape, x, y, greatest[x]);
      if (target >= first * width && target < last * width) out[target] += scratch.passed[i];
    }
  }
}

#define FASTCOUNT_SOFT_COUNT(T)                                                                    \
  template void soft_peak_rows(const T*, const MapShape&, T, std::int64_t, std::int64_t,           \
                               SoftCountScratch<T>&, T*);                                          \
  template void soft_count_rows(const T*, const MapShape&, const SoftCountRule<T>&, std::int64_t,  \
                                std::int64_t, SoftCountScratch<T>&, T*, double*);                  \
  template void soft_count_gradient_rows(const T*, const MapShape&, const SoftCountRule<T>&, bool, \
                                         const T*, T, std::int64_t, std::int64_t,                  \
                                         SoftCountScratch<T>&, T*);

FASTCOUNT_SOFT_COUNT(float)
FASTCOUNT_SOFT_COUNT(double)

}  // namespace fastcount::cpu
