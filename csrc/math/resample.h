// Scaling a line of pixels by a triangle ("bilinear") filter, widened where the line shrinks so
// that no pixel is skipped. In whole numbers and in Pillow's order: the same pixels, to the bit.
#pragma once

#include <cstdint>

#include "math/host_device.h"

namespace fastcount {

constexpr int kWeightBits = 22;  // a weight of 1 is 2^22: 255 of them fit in 31 bits
constexpr std::int32_t kHalf = std::int32_t{1} << (kWeightBits - 1);

// What one output pixel is made of: input pixels first .. last - 1 around `centre`.
struct Reach {
  std::int64_t first;
  std::int64_t last;
  double centre;
};

// How much wider than a pixel the filter is: 1 where the line grows.
FASTCOUNT_HD double widening(std::int64_t length, std::int64_t scaled) {
  return scaled < length ? static_cast<double>(length) / static_cast<double>(scaled) : 1.0;
}

// The reach of output pixel `at` of `scaled`, made of a line of `length` pixels.
FASTCOUNT_HD Reach reach(std::int64_t length, std::int64_t scaled, std::int64_t at) {
  const double step = static_cast<double>(length) / static_cast<double>(scaled);
  const double support = widening(length, scaled);
  const double centre = (static_cast<double>(at) + 0.5) * step;
  const auto first = static_cast<std::int64_t>(centre - support + 0.5);
  const auto last = static_cast<std::int64_t>(centre + support + 0.5);
  return {first < 0 ? 0 : first, last > length ? length : last, centre};
}

// The weight of input pixel `from`, not yet divided by the sum of all; `inverse` = 1 / widening.
FASTCOUNT_HD double triangle(const Reach& reach, std::int64_t from, double inverse) {
  const double away = (static_cast<double>(from) - reach.centre + 0.5) * inverse;
  const double distance = away < 0.0 ? -away : away;
  return distance < 1.0 ? 1.0 - distance : 0.0;
}

FASTCOUNT_HD std::int32_t whole_weight(double weight) {
  return static_cast<std::int32_t>(0.5 + weight * (std::int32_t{1} << kWeightBits));
}

// A sum of pixels times whole weights, begun at kHalf, as a pixel.
FASTCOUNT_HD std::int32_t pixel_of_sum(std::int32_t sum) {
  const std::int32_t value = sum >> kWeightBits;
  return value > 255 ? 255 : value;
}

}  // namespace fastcount
