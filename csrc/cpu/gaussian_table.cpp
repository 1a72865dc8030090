#include "cpu/gaussian_table.h"

#include <cmath>

#include "cpu/multiversion.h"
#include "math/density_map.h"

namespace fastcount::cpu {
namespace {

constexpr double kMostExponent = 300.0;

FASTCOUNT_MULTIVERSION
void fill_half(double rate, int count, double* values) {
  for (int k = 0; k < count; ++k) values[k] = gaussian_weight(static_cast<double>(k), 0.0, rate);
}

// values times start g^i, a vector of powers at a time.
FASTCOUNT_MULTIVERSION
void times_powers(const double* __restrict values, double start, double g, std::int64_t count,
                  double* __restrict out) {
  constexpr int kLanes = static_cast<int>(GaussianTable::kLanes);
  const double g2 = g * g;
  const double g4 = g2 * g2;
  const double step = g4 * g4;
  const double powers[kLanes] = {1.0, g, g2, g2 * g, g4, g4 * g, g4 * g2, g4 * (g2 * g)};
  for (std::int64_t at = 0; at < count; at += kLanes) {
    for (int i = 0; i < kLanes; ++i) out[at + i] = values[at + i] * (powers[i] * start);
    start *= step;
  }
}

}  // namespace

bool GaussianTable::prepare(double sigma, std::int64_t radius) {
  if (sigma == sigma_ && radius == radius_) return true;
  const double rate = gaussian_rate(sigma);
  const double reach = static_cast<double>(radius);
  if (radius > kReach || rate * reach * (reach + 1.0) > kMostExponent) return false;
  sigma_ = sigma;
  radius_ = radius;
  rate_ = rate;
  double* middle = values_ + kReach;
  fill_half(rate, static_cast<int>(radius) + 1, middle);
  for (std::int64_t k = 1; k <= radius; ++k) middle[-k] = middle[k];
  return true;
}

void GaussianTable::row(double fraction, std::int64_t first, std::int64_t count,
                        double* weights) const {
  const double exponent = 2.0 * fraction * rate_;
  times_powers(values_ + kReach + first, std::exp(exponent * static_cast<double>(first)),
               std::exp(exponent), count, weights);
}

}  // namespace fastcount::cpu
