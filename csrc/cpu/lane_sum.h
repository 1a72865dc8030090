// The sum of a row in double: sixteen running sums side by side, then those in order. The order is
// the same for every instruction set, and a compiler can turn it into vectors.
#pragma once

#include <cstdint>

#include "cpu/multiversion.h"

namespace fastcount::cpu {

template <typename T>
FASTCOUNT_INLINE double lane_sum(const T* values, std::int64_t count) {
  constexpr int kSums = 16;
  double sums[kSums] = {};
  std::int64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (int k = 0; k < kSums; ++k) sums[k] += static_cast<double>(values[i + k]);
  }
  double sum = 0.0;
  for (; i < count; ++i) sum += static_cast<double>(values[i]);
  for (int k = 0; k < kSums; ++k) sum += sums[k];
  return sum;
}

}  // namespace fastcount::cpu
