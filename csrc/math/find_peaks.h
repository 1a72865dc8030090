// Peaks of a map: the order of its values, and the rule that names a pixel a peak.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "math/host_device.h"

namespace fastcount {

// Integers in the order of the floating-point numbers: -0 equals 0, -inf is above `absent_key`,
// which stands for NaN and for what lies outside the map. Comparing them needs no thought for NaN.
template <typename T>
struct OrderedValue;

template <>
struct OrderedValue<float> {
  using Key = std::int32_t;
};

template <>
struct OrderedValue<double> {
  using Key = std::int64_t;
};

template <typename T>
using OrderKey = typename OrderedValue<T>::Key;

template <typename Key>
FASTCOUNT_HD Key absent_key() {
  return std::numeric_limits<Key>::min();
}

template <typename T>
FASTCOUNT_HD OrderKey<T> order_key(T value) {
  using Key = OrderKey<T>;
  const T no_negative_zero = value + T(0);
  Key bits;
  memcpy(&bits, &no_negative_zero, sizeof(bits));
  const Key flipped = bits ^ ((bits >> (8 * sizeof(Key) - 1)) & std::numeric_limits<Key>::max());
  return value == value ? flipped : absent_key<Key>();
}

template <typename T>
FASTCOUNT_HD T value_of_key(OrderKey<T> key) {
  using Key = OrderKey<T>;
  const Key bits = key ^ ((key >> (8 * sizeof(Key) - 1)) & std::numeric_limits<Key>::max());
  T value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

// A pixel is a peak if nothing in its window is greater and nothing before it in reading order is
// equal. `before` and `after` are the greatest keys of the two halves of the window.
template <typename Key>
FASTCOUNT_HD bool beats_window(Key key, Key before, Key after) {
  return (key > before) & (key >= after);
}

// The same where `strict` is 1: nothing after it is equal either. No key is the greatest integer.
template <typename Key>
FASTCOUNT_HD bool beats_window(Key key, Key before, Key after, Key strict) {
  return (key > before) & (key >= after + strict);
}

// The 3 x 3 mean, added in a fixed order: down each column, then across.
template <typename T>
FASTCOUNT_HD T mean_of_nine(T left, T middle, T right) {
  return (left + middle + right) / T(9);
}

}  // namespace fastcount
