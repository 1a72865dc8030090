// The Gaussian weights of many points of one width from one table of exponentials.
//
// exp(-((k - f)^2 - f^2) rate) = exp(-k^2 rate) exp(2 f rate)^k: the first factor is the same for
// every point of that width, the second is a geometric row. Two multiplications a weight.
#pragma once

#include <cstdint>

namespace fastcount::cpu {

class GaussianTable {
 public:
  // Makes the table of sigma, unless it is that already. False where it would not do: a window too
  // wide for the table, or factors beyond what a double holds.
  bool prepare(double sigma, std::int64_t radius);

  // gaussian_weight(k - fraction, fraction, rate) for k = first .. first + count - 1, all within
  // the radius prepared for. |fraction| <= 1/2. Writes up to kLanes - 1 weights too many.
  void row(double fraction, std::int64_t first, std::int64_t count, double* weights) const;

  static constexpr std::int64_t kReach = 248;  // the widest radius; a row is below 512 weights
  static constexpr std::int64_t kLanes = 8;

 private:
  double sigma_ = 0.0;
  std::int64_t radius_ = -1;
  double rate_ = 0.0;
  double values_[2 * kReach + 1 + kLanes] = {};  // values_[kReach + k]
};

}  // namespace fastcount::cpu
