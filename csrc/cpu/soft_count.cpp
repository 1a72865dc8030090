#include "cpu/soft_count.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "cpu/lane_sum.h"
#include "cpu/multiversion.h"

namespace fastcount::cpu {
namespace {

// line = the greatest of itself and of three rows.
template <typename T>
FASTCOUNT_INLINE void raise_line(const T* const* rows, std::int64_t width, T* line) {
  for (std::int64_t x = 0; x < width; ++x) {
    T most = line[x];
    for (int row = 0; row < 3; ++row) most = rows[row][x] > most ? rows[row][x] : most;
    line[x] = most;
  }
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

// Moves to `receiver` what is left of the gradients whose greatest value `row` has.
template <typename T>
FASTCOUNT_INLINE void hand_over(const T* row, const T* greatest, std::int64_t width, T* left,
                                T* receiver) {
  for (std::int64_t x = 0; x < width; ++x) {
    const bool here = row[x] == greatest[x];
    receiver[x] += here ? left[x] : T(0);
    left[x] = here ? T(0) : left[x];
  }
}

#define FASTCOUNT_SOFT_COUNT_LOOPS(T)                                                              \
  FASTCOUNT_MULTIVERSION                                                                           \
  void raise_by_three(const T* const* rows, std::int64_t width, T* line) {                         \
    raise_line(rows, width, line);                                                                 \
  }                                                                                                \
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
  void hand_row(const T* row, const T* greatest, std::int64_t width, T* left, T* receiver) {       \
    hand_over(row, greatest, width, left, receiver);                                               \
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

// Three rows at a time, for fewer loads and stores; where there are no three the last comes again.
template <typename T>
void raise_to(std::vector<const T*>& rows, std::int64_t width, T* line) {
  while (rows.size() % 3 != 0) rows.push_back(rows.back());
  for (std::size_t row = 0; row < rows.size(); row += 3) raise_by_three(&rows[row], width, line);
}

// The greatest value within `across` of each pixel of `line`, which has room for as much around it.
template <typename T>
void greatest_across(const T* line, std::int64_t width, std::int64_t across,
                     std::vector<const T*>& rows, T* greatest) {
  rows.clear();
  for (std::int64_t shift = -across; shift <= across; ++shift) rows.push_back(line + shift);
  std::fill_n(greatest, width, -std::numeric_limits<T>::infinity());
  raise_to(rows, width, greatest);
}

// The greatest value of the window around each pixel of row y: down the columns, then across.
template <typename T>
const T* window_maxima(const T* map, const MapShape& shape, std::int64_t y,
                       SoftCountScratch<T>& scratch) {
  const std::int64_t width = shape.width;
  const std::int64_t across = std::min(shape.radius, width - 1);
  scratch.line.assign(static_cast<std::size_t>(width + 2 * across),
                      -std::numeric_limits<T>::infinity());
  scratch.greatest.resize(static_cast<std::size_t>(width));
  T* columns = scratch.line.data() + across;
  const std::int64_t top = std::max<std::int64_t>(y - shape.radius, 0);
  const std::int64_t bottom = std::min(y + shape.radius, shape.height - 1);
  scratch.rows.clear();
  for (std::int64_t row = top; row <= bottom; ++row) scratch.rows.push_back(map + row * width);
  raise_to(scratch.rows, width, columns);
  greatest_across(columns, width, across, scratch.rows, scratch.greatest.data());
  return scratch.greatest.data();
}

// The greatest of a window is that of its rows' greatest, and the first pixel in reading order that
// has it lies in the first row that has it. So a gradient goes back in two steps: from windows down
// the column to that row, and along the row. Rows are kept for as long as a window reaches them.
template <typename T>
class GradientRows {
 public:
  GradientRows(const T* map, const MapShape& shape, SoftCountScratch<T>& scratch)
      : map_(map),
        shape_(shape),
        across_(std::min(shape.radius, shape.width - 1)),
        down_(std::min(shape.radius, shape.height - 1)),
        kept_(std::min(2 * down_ + 1, shape.height)),
        scratch_(scratch) {
    const auto width = static_cast<std::size_t>(shape.width);
    scratch.line.assign(width + 2 * static_cast<std::size_t>(across_),
                        -std::numeric_limits<T>::infinity());
    scratch.greatest.resize(width);
    scratch.own.resize(width);
    scratch.passed.resize(width);
    scratch.row_maxima.resize(width * static_cast<std::size_t>(kept_));
    scratch.handed.resize(width * static_cast<std::size_t>(kept_));
  }

  // Row y is reached by a window for the first time.
  void enter(std::int64_t y) {
    T* line = scratch_.line.data() + across_;
    std::copy_n(map_ + y * shape_.width, shape_.width, line);
    greatest_across(line, shape_.width, across_, scratch_.rows, row_maxima(y));
    std::fill_n(handed(y), shape_.width, T(0));
  }

  // The greatest value of the window around each pixel of row y.
  const T* window_maxima(std::int64_t y) {
    T* greatest = scratch_.greatest.data();
    std::fill_n(greatest, shape_.width, -std::numeric_limits<T>::infinity());
    scratch_.rows.clear();
    for (std::int64_t row = top(y); row <= bottom(y); ++row) {
      scratch_.rows.push_back(row_maxima(row));
    }
    raise_to(scratch_.rows, shape_.width, greatest);
    return greatest;
  }

  // Hands what the windows around row y pass on to the rows that have their maxima.
  void hand_down(std::int64_t y, const T* greatest, T* passed) {
    for (std::int64_t row = top(y); row <= bottom(y); ++row) {
      hand_row(row_maxima(row), greatest, shape_.width, passed, handed(row));
    }
  }

  // Adds to `out` what row y was handed, each where the row has that maximum.
  void hand_across(std::int64_t y, T* out) {
    for (std::int64_t shift = -across_; shift <= across_; ++shift) {
      const std::int64_t from = std::max<std::int64_t>(-shift, 0);
      const std::int64_t to = std::min(shape_.width - shift, shape_.width);
      hand_row(map_ + y * shape_.width + from + shift, row_maxima(y) + from, to - from,
               handed(y) + from, out + from + shift);
    }
  }

 private:
  std::int64_t top(std::int64_t y) const { return std::max<std::int64_t>(y - down_, 0); }
  std::int64_t bottom(std::int64_t y) const { return std::min(y + down_, shape_.height - 1); }
  T* row_maxima(std::int64_t y) { return scratch_.row_maxima.data() + y % kept_ * shape_.width; }
  T* handed(std::int64_t y) { return scratch_.handed.data() + y % kept_ * shape_.width; }

  const T* map_;
  MapShape shape_;
  std::int64_t across_;
  std::int64_t down_;
  std::int64_t kept_;
  SoftCountScratch<T>& scratch_;
};

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
  const std::int64_t down = std::min(shape.radius, shape.height - 1);
  GradientRows<T> rows(map, shape, scratch);
  const std::int64_t top = std::max<std::int64_t>(first - down, 0);
  const std::int64_t bottom = std::min(last - 1 + down, shape.height - 1);
  std::int64_t entered = std::max<std::int64_t>(top - down, 0);
  std::int64_t finished = first;
  for (std::int64_t y = top; y <= bottom; ++y) {
    for (; entered <= std::min(y + down, shape.height - 1); ++entered) rows.enter(entered);
    const T* greatest = rows.window_maxima(y);
    T* own = y >= first && y < last ? out + y * width : scratch.own.data();
    if (grad) {
      std::copy_n(grad + y * width, width, own);
    } else {
      std::fill_n(own, width, T(0));
    }
    if (detect) undetect_row(map + y * width, greatest, width, rule, grad_sum, own);
    split_row(map + y * width, greatest, width, rule.beta, own, scratch.passed.data());
    rows.hand_down(y, greatest, scratch.passed.data());
    for (; finished < last && finished <= y - down; ++finished) {
      rows.hand_across(finished, out + finished * width);
    }
  }
  for (; finished < last; ++finished) rows.hand_across(finished, out + finished * width);
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
