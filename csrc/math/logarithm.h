// log(x) without branches or calls, so that a compiler turns a loop of it into vectors.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "math/host_device.h"

namespace fastcount {

// log(x) for a normal positive x, within 2 units in the last place; near 1 too, because there the
// exponent's part is 0. Any other x gives some number.
//
// x = 2^k m with m in [sqrt(1/2), sqrt(2)).
FASTCOUNT_HD float log_positive(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const std::uint32_t sqrt_half = 0x3f3504f3u;
  const std::int32_t k = static_cast<std::int32_t>(bits - sqrt_half) >> 23;
  bits -= static_cast<std::uint32_t>(k) << 23;
  float m;
  std::memcpy(&m, &bits, sizeof m);
  // (log(1 + f) - f + f^2 / 2) / f^3 fitted for the least relative error of the logarithm, 6e-9.
  const float f = m - 1.0f;
  const float f2 = f * f;
  const float f4 = f2 * f2;
  const float low = (0.3333333134651184f - f * 0.250008225440979f) +
                    f2 * (0.20001226663589478f - f * 0.16623355448246002f);
  const float high = (0.14201770722866058f - f * 0.1316021829843521f) +
                     f2 * (0.12761501967906952f - f * 0.0763431042432785f);
  const float p = low + f4 * high;
  const float power = static_cast<float>(k);
  return power * 0.693145751953125f + (power * 1.42860677e-6f + (f + f2 * (f * p - 0.5f)));
}

FASTCOUNT_HD double log_positive(double x) {
#if defined(__CUDA_ARCH__)
  return ::log(x);
#else
  std::uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const std::uint64_t sqrt_half = 0x3fe6a09e667f3bcdull;
  const std::uint64_t one = 0x3ff0000000000000ull;
  const std::uint64_t biased = (bits + (one - sqrt_half)) >> 52;  // k + 1023
  bits -= (biased - 1023) << 52;
  double m;
  std::memcpy(&m, &bits, sizeof m);
  // A whole number becomes a double by way of 2^52: the conversion itself is no vector instruction
  // before AVX-512.
  std::uint64_t shifted = biased | 0x4330000000000000ull;
  double k;
  std::memcpy(&k, &shifted, sizeof k);
  k -= 4503599627370496.0 + 1023.0;
  // log(1 + f) = 2 atanh(s), s = f / (2 + f), |s| < 0.172: the series to s^19, the next is 3e-17.
  const double f = m - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;
  const double z2 = z * z;
  const double z4 = z2 * z2;
  const double low = (1.0 / 3.0 + z * (1.0 / 5.0)) + z2 * (1.0 / 7.0 + z * (1.0 / 9.0));
  const double high =
      (1.0 / 11.0 + z * (1.0 / 13.0)) + z2 * (1.0 / 15.0 + z * (1.0 / 17.0)) + z4 * (1.0 / 19.0);
  // f - s f = 2 s, said so that f, which is exact, carries the leading part.
  const double rest = s * (2.0 * (z * (low + z4 * high)) - f);
  return k * 6.93147180369123816490e-01 + (k * 1.90821492927058770002e-10 + (f + rest));
#endif
}

}  // namespace fastcount
