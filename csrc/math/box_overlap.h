// How much two boxes overlap. In torchvision's order of operations, so that a pair at the threshold
// falls to the same side; compile without contraction into fused multiply-adds.
#pragma once

#include "math/host_device.h"

namespace fastcount {

template <typename T>
struct Box {  // edges
  T x1, y1, x2, y2;
};

template <typename T>
FASTCOUNT_HD T box_area(const Box<T>& box) {
  return (box.x2 - box.x1) * (box.y2 - box.y1);
}

// Intersection over union; NaN for two boxes of no area.
template <typename T>
FASTCOUNT_HD T box_overlap(const Box<T>& a, T area_a, const Box<T>& b, T area_b) {
  const T left = a.x1 > b.x1 ? a.x1 : b.x1;
  const T top = a.y1 > b.y1 ? a.y1 : b.y1;
  const T right = a.x2 < b.x2 ? a.x2 : b.x2;
  const T bottom = a.y2 < b.y2 ? a.y2 : b.y2;
  const T width = right > left ? right - left : T(0);
  const T height = bottom > top ? bottom - top : T(0);
  const T shared = width * height;
  return shared / (area_a + area_b - shared);
}

}  // namespace fastcount
