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

// Takes the gradient by soft_detection, and that of the sum, back to one by soft_peak.
template <typename T>
FASTCOUNT_INLINE void undetect(const T* row, const T* greatest, std::int64_t width,
                               const SoftCountRule<T>& rule, T grad_sum, T* grad) {
  const SoftCountRule<T> held = rule;
  for (std::int64_t x = 0; x < width; ++x) {
    const T slope = soft_detection_slope(soft_peak(row[x], greatest[x], held.beta), held);
    grad[x] = (grad[x] + grad_sum) * slope;
  }
}

// What each pixel keeps of its gradient (in place), and what it passes to its window's maximum.
template <typename T>
FASTCOUNT_INLINE void split_gradient(const T* row, const T* greatest, std::int64_t width, T beta,
                                     T* own, T* passed) {
  for (std::int64_t x = 0; x < width; ++x) {
    const T grad = own[x];
    const SoftPeakSlopes<T> slopes = soft_peak_slopes(row[x], greatest[x], beta);
    own[x] = grad * slopes.by_value;
    passed[x] = grad * slopes.by_greatest;
  }
}

template <typename T>
FASTCOUNT_INLINE void add_line(const T* row, std::int64_t width, T* sum) {
  for (std::int64_t x = 0; x < width; ++x) sum[x] += row[x];
}

// chosen[x] = shift where a pixel's window has its maximum at that neighbour and at none before.
template <typename T>
FASTCOUNT_INLINE void choose(const T* neighbours, const T* greatest, std::int64_t width,
                             Neighbour<T> shift, Neighbour<T>* chosen) {
  for (std::int64_t x = 0; x < width; ++x) {
    const bool first = (neighbours[x] == greatest[x]) & (chosen[x] < 0);
    chosen[x] = first ? shift : chosen[x];
  }
}

template <typename T>
FASTCOUNT_INLINE void pass_on(const T* passed, const Neighbour<T>* chosen, std::int64_t width,
                              Neighbour<T> shift, T* neighbours) {
  for (std::int64_t x = 0; x < width; ++x) {
    neighbours[x] += chosen[x] == shift ? passed[x] : T(0);
  }
}

#define FASTCOUNT_SOFT_COUNT_LOOPS(T)                                                              \
  FASTCOUNT_MULTIVERSION                                                                           \
  void raise_to(const T* row, std::int64_t width, T* line) { raise_line(row, width, line); }       \
  FASTCOUNT_MULTIVERSION                                                                           \
  void soften_row(const T* row, const T* greatest, std::int64_t width, T beta, T* out) {           \
    soften(row, greatest, width, beta, out);                                                       \
  }                                                                                                \
  FASTCOUNT_MULTIVERSION                                                                           \
  void detect_row(const T* row, const T* greatest, std::int64_t width,                             \
                  const SoftCountRule<T>& rule, T* out) {                                          \
    detect(row, greatest, width, rule, out);                                                       \
  }                                                                                                \
  FASTCOUNT_MULTIVERSION                                                                           \
  double row_sum(const T* row, std::int64_t width) { return lane_sum(row, width); }                \
  FASTCOUNT_MULTIVERSION                                                                           \
  void add_row(const T* row, std::int64_t width, T* sum) { add_line(row, width, sum); }            \
  FASTCOUNT_MULTIVERSION                                                                           \
  void choose_row(const T* neighbours, const T* greatest, std::int64_t width, Neighbour<T> shift,  \
                  Neighbour<T>* chosen) {                                                          \
    choose(neighbours, greatest, width, shift, chosen);                                            \
  }                                                                                                \
  FASTCOUNT_MULTIVERSION                                                                           \
  void pass_row(const T* passed, const Neighbour<T>* chosen, std::int64_t width,                   \
                Neighbour<T> shift, T* neighbours) {                                               \
    pass_on(passed, chosen, width, shift, neighbours);                                             \
  }                                                                                                \
  FASTCOUNT_MULTIVERSION                                                                           \
  void undetect_row(const T* row, const T* greatest, std::int64_t width,                           \
                    const SoftCountRule<T>& rule, T grad_sum, T* grad) {                           \
    undetect(row, greatest, width, rule, grad_sum, grad);                                          \
  }                                                                                                \
  FASTCOUNT_MULTIVERSION                                                                           \
  void split_row(const T* row, const T* greatest, std::int64_t width, T beta, T* own, T* passed) { \
    split_gradient(row, greatest, width, beta, own, passed);                                       \
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

// Calls use(shift, row, dx, first x, last x) for every neighbour (x + dx, row) of the window around
// row y, shifts counted in reading order. `x` runs over the pixels whose neighbour is on the map.
template <typename Use>
void for_each_shift(const MapShape& shape, std::int64_t y, const Use& use) {
  const std::int64_t across = std::min(shape.radius, shape.width - 1);
  const std::int64_t down = std::min(shape.radius, shape.height - 1);
  std::int64_t shift = 0;
  for (std::int64_t dy = -down; dy <= down; ++dy) {
    for (std::int64_t dx = -across; dx <= across; ++dx, ++shift) {
      if (y + dy < 0 || y + dy >= shape.height) continue;
      use(shift, y + dy, dx, std::max<std::int64_t>(-dx, 0),
          std::min(shape.width - dx, shape.width));
    }
  }
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
    T* own = scratch.own.data();
    const T* row = map + y * width;
    if (grad) {
      std::copy(grad + y * width, grad + (y + 1) * width, own);
    } else {
      std::fill(own, own + width, T(0));
    }
    if (detect) undetect_row(row, greatest, width, rule, grad_sum, own);
    split_row(row, greatest, width, rule.beta, own, scratch.passed.data());
    if (y >= first && y < last) add_row(own, width, out + y * width);

    scratch.chosen.assign(static_cast<std::size_t>(width), -1);
    Neighbour<T>* chosen = scratch.chosen.data();
    for_each_shift(shape, y,
                   [&](std::int64_t shift, std::int64_t there, std::int64_t dx, std::int64_t from,
                       std::int64_t to) {
                     choose_row(map + there * width + from + dx, greatest + from, to - from,
                                static_cast<Neighbour<T>>(shift), chosen + from);
                   });
    for_each_shift(shape, y,
                   [&](std::int64_t shift, std::int64_t there, std::int64_t dx, std::int64_t from,
                       std::int64_t to) {
                     if (there < first || there >= last) return;
                     pass_row(scratch.passed.data() + from, chosen + from, to - from,
                              static_cast<Neighbour<T>>(shift), out + there * width + from + dx);
                   });
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
