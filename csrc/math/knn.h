// Nearest neighbours: the distance of a pair, the least distance to a box, the list of the k best.
#pragma once

#include "math/host_device.h"

namespace fastcount {

template <typename T>
FASTCOUNT_HD T squared_distance(T dx, T dy) {
  return dx * dx + dy * dy;
}

// Distance from v to the interval [low, high]; 0 inside. Never more than |v - p| for a p inside
// the interval, rounding included, because subtraction rounds monotonically.
template <typename T>
FASTCOUNT_HD T interval_gap(T low, T high, T v) {
  const T below = low - v;
  const T above = v - high;
  const T gap = below > above ? below : above;
  return gap > T(0) ? gap : T(0);
}

// One step of insertion into an ascending list: the smaller stays, the larger moves on. A NaN
// candidate changes nothing.
template <typename T>
FASTCOUNT_HD void keep_smaller(T& kept, T& candidate) {
  const T old = kept;
  const T offered = candidate;
  kept = offered < old ? offered : old;
  candidate = offered < old ? old : offered;
}

}  // namespace fastcount
