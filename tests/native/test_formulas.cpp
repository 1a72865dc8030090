// The exponential and the logarithm of csrc/math against the C library's in long double: within the
// 2 units in the last place that their headers promise, over all that they are promised for; and
// the power made of them.
#include <cmath>
#include <limits>
#include <random>

#include "expect.h"
#include "math/exponential.h"
#include "math/logarithm.h"
#include "math/power.h"
#include "math/sigmoid.h"

namespace {

constexpr int kDraws = 200000;
constexpr double kMost = 2.0;  // units in the last place

template <typename T>
double units_off(T value, long double exact) {
  const int exponent = std::ilogb(exact);
  const long double unit = std::ldexp(1.0L, exponent + 1 - std::numeric_limits<T>::digits);
  return static_cast<double>(std::abs((static_cast<long double>(value) - exact) / unit));
}

// x in [lowest, 0], one half of them near 0.
template <typename T>
void exponential_is_exact(double lowest) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> share(0.0, 1.0);
  double worst = 0.0;
  for (int i = 0; i < kDraws; ++i) {
    const T x = static_cast<T>(i % 2 == 0 ? lowest * share(random) : -share(random));
    const T value = fastcount::exp_nonpositive(x);
    worst = std::fmax(worst, units_off(value, std::exp(static_cast<long double>(x))));
  }
  EXPECT(worst <= kMost);
  EXPECT(fastcount::exp_nonpositive(T(0)) == T(1));
  EXPECT(fastcount::exp_nonpositive(static_cast<T>(2 * lowest)) == T(0));
  EXPECT(fastcount::exp_nonpositive(-std::numeric_limits<T>::infinity()) == T(0));
}

// Numbers of every size, one half of them near 1, where the logarithm is small.
template <typename T>
void logarithm_is_exact() {
  constexpr double kExponents = std::numeric_limits<T>::max_exponent - 2;
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> share(-1.0, 1.0);
  double worst = 0.0;
  for (int i = 0; i < kDraws; ++i) {
    const double exponent = share(random) * (i % 2 == 0 ? kExponents : 0.6);
    const T x = static_cast<T>(std::exp2(exponent));
    if (x == T(1)) continue;
    worst = std::fmax(worst,
                      units_off(fastcount::log_positive(x), std::log(static_cast<long double>(x))));
  }
  EXPECT(worst <= kMost);
  EXPECT(fastcount::log_positive(T(1)) == T(0));
}

// What the way through logarithms cannot give, and multiplying out can.
template <typename T>
void powers_keep_zero_and_nan() {
  for (const double exponent : {0.37, 0.5, 2.0, 40.0}) {
    const fastcount::Exponent y = fastcount::make_exponent(exponent);
    EXPECT(fastcount::power(T(0), y) == T(0));
    EXPECT(std::isnan(fastcount::power(std::numeric_limits<T>::quiet_NaN(), y)));
  }
}

}  // namespace

int main() {
  exponential_is_exact<float>(-87.0);
  exponential_is_exact<double>(-708.0);
  logarithm_is_exact<float>();
  logarithm_is_exact<double>();
  powers_keep_zero_and_nan<float>();
  powers_keep_zero_and_nan<double>();
  return failures();
}
