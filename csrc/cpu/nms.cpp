#include "cpu/nms.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace fastcount::cpu {
namespace {

// Which cells of a grid over all boxes each box touches.
template <typename T>
class Grid {
 public:
  struct Cells {
    std::int64_t left, top, right, bottom;  // the last ones included
    std::int64_t count() const { return (right - left + 1) * (bottom - top + 1); }
  };

  // Cells of about the mean box, and no more than a few for each box.
  Grid(const Box<T>* boxes, std::int64_t count) {
    T right = boxes[0].x2, bottom = boxes[0].y2;
    left_ = boxes[0].x1, top_ = boxes[0].y1;
    double sides = 0.0;
    for (std::int64_t i = 0; i < count; ++i) {
      const Box<T>& box = boxes[i];
      left_ = std::min(left_, box.x1), top_ = std::min(top_, box.y1);
      right = std::max(right, box.x2), bottom = std::max(bottom, box.y2);
      sides += std::max(0.0, 0.5 * (double(box.x2) - box.x1 + double(box.y2) - box.y1));
    }
    // Below 0 where all boxes are inside out, which are not put into cells.
    const double width = std::max(0.0, double(right) - left_);
    const double height = std::max(0.0, double(bottom) - top_);
    const auto number = static_cast<double>(count);
    side_ = std::max({sides / number, std::sqrt(width) * std::sqrt(height / number) / 2,
                      std::max(width, height) / (4 * number), 1e-30});
    across_ = cell(width) + 1;
    down_ = cell(height) + 1;
  }

  std::int64_t size() const { return across_ * down_; }
  std::int64_t index(std::int64_t x, std::int64_t y) const { return y * across_ + x; }

  Cells cells(const Box<T>& box) const {
    return {cell(double(box.x1) - left_), cell(double(box.y1) - top_), cell(double(box.x2) - left_),
            cell(double(box.y2) - top_)};
  }

 private:
  std::int64_t cell(double away) const { return static_cast<std::int64_t>(away / side_); }

  T left_, top_;
  double side_;
  std::int64_t across_, down_;
};

}  // namespace

template <typename T>
std::vector<std::int64_t> nms(const Box<T>* boxes, const T* scores, const std::int64_t* labels,
                              std::int64_t count, double threshold) {
  std::vector<std::int64_t> kept;
  if (count == 0) return kept;
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [scores](std::int64_t a, std::int64_t b) { return scores[a] > scores[b]; });

  // A box that covers many cells is compared with all that are kept, and they with it.
  constexpr std::int64_t kMany = 32;
  const Grid<T> grid(boxes, count);
  std::vector<std::vector<std::int64_t>> here(static_cast<std::size_t>(grid.size()));
  std::vector<std::int64_t> large;
  for (const std::int64_t i : order) {
    const Box<T>& box = boxes[i];
    const T area = box_area(box);
    const auto overlapped = [&](const std::vector<std::int64_t>& better) {
      return std::any_of(better.begin(), better.end(), [&](std::int64_t j) {
        return (labels == nullptr || labels[i] == labels[j]) &&
               box_overlap(boxes[j], box_area(boxes[j]), box, area) > threshold;
      });
    };
    if (box.x2 < box.x1 || box.y2 < box.y1) {  // inside out: it overlaps nothing
      kept.push_back(i);
      continue;
    }
    const auto cells = grid.cells(box);
    const bool many = cells.count() > kMany;
    bool gone = overlapped(many ? kept : large);
    for (std::int64_t y = cells.top; y <= cells.bottom && !many && !gone; ++y) {
      for (std::int64_t x = cells.left; x <= cells.right && !gone; ++x) {
        gone = overlapped(here[static_cast<std::size_t>(grid.index(x, y))]);
      }
    }
    if (gone) continue;
    kept.push_back(i);
    if (many) {
      large.push_back(i);
      continue;
    }
    for (std::int64_t y = cells.top; y <= cells.bottom; ++y) {
      for (std::int64_t x = cells.left; x <= cells.right; ++x) {
        here[static_cast<std::size_t>(grid.index(x, y))].push_back(i);
      }
    }
  }
  return kept;
}

template std::vector<std::int64_t> nms(const Box<float>*, const float*, const std::int64_t*,
                                       std::int64_t, double);
template std::vector<std::int64_t> nms(const Box<double>*, const double*, const std::int64_t*,
                                       std::int64_t, double);

}  // namespace fastcount::cpu
