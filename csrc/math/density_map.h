// The Gaussian of one point along one axis, on whole pixels.
//
// The kernel of a point is an outer product of two such rows, and so is its sum over cells of
// stride x stride pixels. Coordinates are pixel indices: pixel k covers [k - 0.5, k + 0.5).
#pragma once

#include <cmath>
#include <cstdint>

#include "math/exponential.h"
#include "math/host_device.h"

namespace fastcount {

// Pixels first .. last (both inside the image) that a point reaches along one axis.
struct Window {
  std::int64_t first;
  std::int64_t last;
};

FASTCOUNT_HD bool is_finite(double value) { return value - value == 0.0; }

FASTCOUNT_HD bool inside_axis(double position, std::int64_t size) {
  return position >= -0.5 && position < static_cast<double>(size) - 0.5;  // false for NaN
}

// The pixel that holds a position inside the image; the clamp catches a sum that rounds up to size.
FASTCOUNT_HD std::int64_t nearest_pixel(double position, std::int64_t size) {
  const auto pixel = static_cast<std::int64_t>(floor(position + 0.5));
  return pixel < size ? pixel : size - 1;
}

// int(truncate * sigma + 0.5), bounded so that adding it to a coordinate cannot overflow.
FASTCOUNT_HD std::int64_t window_radius(double sigma, double truncate) {
  const double radius = truncate * sigma + 0.5;
  return radius < 1099511627776.0 ? static_cast<std::int64_t>(radius) : 1099511627776;
}

FASTCOUNT_HD Window window_inside(std::int64_t pixel, std::int64_t radius, std::int64_t size) {
  const std::int64_t first = pixel - radius;
  const std::int64_t last = pixel + radius;
  return {first > 0 ? first : 0, last < size - 1 ? last : size - 1};
}

// 1 / (2 sigma^2), finite for every sigma > 0.
FASTCOUNT_HD double gaussian_rate(double sigma) {
  const double rate = 0.5 / (sigma * sigma);
  return rate < 1e300 ? rate : 1e300;
}

// exp(-(offset^2 - nearest^2) / (2 sigma^2)): the Gaussian relative to its value at the nearest
// pixel, which cancels in the division by the sum and keeps that sum from vanishing.
FASTCOUNT_HD double gaussian_weight(double offset, double nearest, double rate) {
  return exp_nonpositive(-(offset * offset - nearest * nearest) * rate);
}

// Sum of gaussian_weight over the whole window, inside the image or not. `fraction` is the distance
// of the point from the centre of its window. A wide window is summed by the midpoint rule with its
// first correction (-f'/24 at both ends); its relative error is of the order of sigma^-4.
FASTCOUNT_HD double full_window_sum(double fraction, double sigma, std::int64_t radius) {
  const double rate = gaussian_rate(sigma);
  if (radius > 4096 && sigma > 1024.0) {
    const double scale = 0.70710678118654752440 / sigma;
    const double low = -static_cast<double>(radius) - 0.5 - fraction;
    const double high = static_cast<double>(radius) + 0.5 - fraction;
    const double integral = sigma * 1.25331413731550025121 * (erf(high * scale) - erf(low * scale));
    const double slopes =
        2.0 * rate *
        (low * exp_nonpositive(-low * low * rate) - high * exp_nonpositive(-high * high * rate));
    return (integral - slopes / 24.0) * exp(fraction * fraction * rate);
  }
  const double reach = 40.0 * sigma + 2.0;  // beyond it every weight is 0
  const std::int64_t steps =
      static_cast<double>(radius) < reach ? radius : static_cast<std::int64_t>(reach);
  double sum = 0.0;
  for (std::int64_t step = -steps; step <= steps; ++step) {
    sum += gaussian_weight(static_cast<double>(step) - fraction, fraction, rate);
  }
  return sum;
}

}  // namespace fastcount
