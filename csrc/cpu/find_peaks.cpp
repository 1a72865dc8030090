#include "cpu/find_peaks.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "cpu/multiversion.h"

namespace fastcount::cpu {
namespace {

// key[x] = order key of map row x where it reaches the threshold, else absent; whether any does.
template <typename T>
FASTCOUNT_INLINE bool load_keys(const T* row, std::int64_t width, OrderKey<T> threshold,
                                OrderKey<T>* keys) {
  using Key = OrderKey<T>;
  Key any = 0;  // an or of differences: the vectoriser knows no maximum of a selection
  for (std::int64_t x = 0; x < width; ++x) {
    const Key key = order_key(row[x]);
    const Key kept = key >= threshold ? key : absent_key<Key>();
    keys[x] = kept;
    any |= kept ^ absent_key<Key>();
  }
  return any != 0;
}

// Sums down the three rows around `y`, zeros outside, with one zero at either end of the row.
template <typename T>
FASTCOUNT_INLINE void add_columns(const T* map, const PeakRule& rule, std::int64_t y, T* sums) {
  const T* here = map + y * rule.width;
  const bool top = y == 0;
  const bool bottom = y == rule.height - 1;
  const T* above = top ? here : here - rule.width;  // a pointer beyond the map must not be made
  const T* below = bottom ? here : here + rule.width;
  sums[0] = sums[rule.width + 1] = T(0);
  for (std::int64_t x = 0; x < rule.width; ++x) {
    const T first = top ? T(0) : above[x];
    const T last = bottom ? T(0) : below[x];
    sums[x + 1] = first + here[x] + last;
  }
}

template <typename T>
FASTCOUNT_INLINE void average_columns(const T* sums, std::int64_t width, T* means) {
  // means may be sums itself: entry x is written after entries x .. x + 2 have been read
  for (std::int64_t x = 0; x < width; ++x)
    means[x] = mean_of_nine(sums[x], sums[x + 1], sums[x + 2]);
}

template <typename Key>
FASTCOUNT_INLINE void take_greater(const Key* a, const Key* b, std::int64_t count, Key* out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = a[i] > b[i] ? a[i] : b[i];
}

template <typename Key>
FASTCOUNT_INLINE void raise(Key* kept, const Key* other, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) kept[i] = kept[i] > other[i] ? kept[i] : other[i];
}

// candidates[x] = keys[x] where it beats `radius` pixels on either side, else absent;
// greatest[x] = the greatest key within `radius`; runs[x] = that of keys[x .. x + radius - 1].
template <typename Key>
FASTCOUNT_INLINE void compare_in_row(const Key* keys, const Key* runs, std::int64_t width,
                                     std::int64_t radius, Key strict, Key* candidates,
                                     Key* greatest) {
  for (std::int64_t x = 0; x < width; ++x) {
    const Key before = runs[x - radius];
    const Key after = runs[x + 1];
    const Key sides = before > after ? before : after;
    candidates[x] = beats_window(keys[x], before, after, strict) ? keys[x] : absent_key<Key>();
    greatest[x] = keys[x] > sides ? keys[x] : sides;
  }
}

template <typename Key>
FASTCOUNT_INLINE void mark_peaks(const Key* candidates, const Key* before, const Key* after,
                                 std::int64_t width, Key strict, unsigned char* marks) {
  for (std::int64_t x = 0; x < width; ++x) {
    marks[x] = beats_window(candidates[x], before[x], after[x], strict) ? 1 : 0;
  }
}

// The hot loops once more for each type, in the form that FASTCOUNT_MULTIVERSION wants.
#define FASTCOUNT_PEAK_LOOPS(T)                                                               \
  FASTCOUNT_MULTIVERSION                                                                      \
  bool row_keys(const T* row, std::int64_t width, OrderKey<T> threshold, OrderKey<T>* keys) { \
    return load_keys(row, width, threshold, keys);                                            \
  }                                                                                           \
  FASTCOUNT_MULTIVERSION                                                                      \
  void smooth_row(const T* map, const PeakRule& rule, std::int64_t y, T* sums, T* means) {    \
    add_columns(map, rule, y, sums);                                                          \
    average_columns(sums, rule.width, means);                                                 \
  }                                                                                           \
  FASTCOUNT_MULTIVERSION                                                                      \
  void greater_of(const OrderKey<T>* a, const OrderKey<T>* b, std::int64_t count,             \
                  OrderKey<T>* out) {                                                         \
    take_greater(a, b, count, out);                                                           \
  }                                                                                           \
  FASTCOUNT_MULTIVERSION                                                                      \
  void raise_to(OrderKey<T>* kept, const OrderKey<T>* other, std::int64_t count) {            \
    raise(kept, other, count);                                                                \
  }                                                                                           \
  FASTCOUNT_MULTIVERSION                                                                      \
  void compare_row(const OrderKey<T>* keys, const OrderKey<T>* runs, std::int64_t width,      \
                   std::int64_t radius, OrderKey<T> strict, OrderKey<T>* candidates,          \
                   OrderKey<T>* greatest) {                                                   \
    compare_in_row(keys, runs, width, radius, strict, candidates, greatest);                  \
  }                                                                                           \
  FASTCOUNT_MULTIVERSION                                                                      \
  void mark_row(const OrderKey<T>* candidates, const OrderKey<T>* before,                     \
                const OrderKey<T>* after, std::int64_t width, OrderKey<T> strict,             \
                unsigned char* marks) {                                                       \
    mark_peaks(candidates, before, after, width, strict, marks);                              \
  }

FASTCOUNT_PEAK_LOOPS(float)
FASTCOUNT_PEAK_LOOPS(double)
#undef FASTCOUNT_PEAK_LOOPS

// Running maxima along a line: entry i is the greatest of entries i .. i + length - 1, by doubling
// and then two overlapping runs. `spare` and `other` are as long; returns which of the three holds
// them. The line itself stays as it is. Runs that would reach beyond its end are not made.
template <typename Key>
const Key* widen(const Key* line, Key* spare, Key* other, std::int64_t count, std::int64_t length) {
  for (std::int64_t have = 1; have < length;) {
    const std::int64_t step = std::min(have, length - have);
    greater_of(line, line + step, count - step, spare);
    line = spare;
    std::swap(spare, other);
    have += step;
  }
  return line;
}

// The same down the rows of a block, in place.
template <typename Key>
void heighten(Key* rows, std::int64_t count, std::int64_t width, std::int64_t length) {
  for (std::int64_t have = 1; have < length;) {
    const std::int64_t step = std::min(have, length - have);
    for (std::int64_t i = 0; i + step < count; ++i) {
      raise_to(rows + i * width, rows + (i + step) * width, width);
    }
    have += step;
  }
}

// `marks` holds 0 or 1 a pixel, up to a multiple of 64. Sixty-four at a time become the bits of a
// word, so that a row costs little beside its peaks. The first of eight bytes is the lowest:
// processors here are little-endian.
template <typename T>
void append_marked(const std::vector<unsigned char>& marks, const OrderKey<T>* keys,
                   std::int64_t first_index, std::vector<Peak<T>>& row,
                   std::vector<Peak<T>>& peaks) {
  Peak<T>* next = row.data();
  for (std::size_t begin = 0; begin < marks.size(); begin += 64) {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < 8; ++i) {
      std::uint64_t eight;
      std::memcpy(&eight, marks.data() + begin + 8 * i, 8);
      bits |= (eight * 0x0102040810204080u >> 56) << (8 * i);  // byte k becomes bit k
    }
    for (; bits != 0; bits &= bits - 1) {
      const auto x = static_cast<std::int64_t>(begin) + std::countr_zero(bits);
      *next++ = {keys[x], static_cast<std::int32_t>(first_index + x)};
    }
  }
  peaks.insert(peaks.end(), row.data(), next);
}

// The strip being searched: `rows` holds height() + 2 * reach rows of greatest keys, then one
// absent row; `candidates` the height() rows themselves.
template <typename T>
class Strip {
 public:
  using Key = OrderKey<T>;

  Strip(const T* map, const PeakRule& rule, std::int64_t first, std::int64_t last,
        PeakScratch<T>& scratch)
      : map_(map),
        rule_(rule),
        first_(first),
        last_(last),
        across_(std::min(rule.radius, rule.width - 1)),
        down_(std::min(rule.radius, rule.height - 1)),
        threshold_(order_key(static_cast<T>(rule.threshold))),
        strict_(rule.strict ? 1 : 0),
        scratch_(scratch) {
    const auto held = static_cast<std::size_t>(last - first + 2 * down_);
    const auto width = static_cast<std::size_t>(rule.width);
    const auto padded = static_cast<std::size_t>(padded_width());
    scratch.rows.resize((held + 1) * width);
    scratch.candidates.resize((held - 2 * static_cast<std::size_t>(down_)) * width);
    scratch.line.assign(3 * padded, absent_key<Key>());
    scratch.sums.resize(2 * (width + 2));
    scratch.alive.assign(held, 0);
    scratch.marks.assign((width + 63) / 64 * 64, 0);
    scratch.row_peaks.resize(width);
  }

  void find(std::vector<Peak<T>>& peaks) {
    bool any = false;
    for (std::int64_t y = first_; y < last_; ++y) any |= load(y);
    if (!any) return;
    for (std::int64_t y = first_ - down_; y < first_; ++y) load(y);
    for (std::int64_t y = last_; y < last_ + down_; ++y) load(y);

    const std::int64_t held = last_ - first_ + 2 * down_;
    Key* absent = greatest(held);
    std::fill(absent, absent + rule_.width, absent_key<Key>());
    if (down_ > 0) heighten(greatest(0), held, rule_.width, down_);
    for (std::int64_t i = 0; i < last_ - first_; ++i) {
      if (!scratch_.alive[static_cast<std::size_t>(i + down_)]) continue;
      const Key* row = candidates(i);
      mark_row(row, down_ > 0 ? greatest(i) : absent, down_ > 0 ? greatest(i + 1 + down_) : absent,
               rule_.width, strict_, scratch_.marks.data());
      append_marked<T>(scratch_.marks, row, (first_ + i) * rule_.width, scratch_.row_peaks, peaks);
    }
  }

 private:
  std::int64_t padded_width() const { return rule_.width + 2 * across_ + 1; }
  Key* greatest(std::int64_t i) { return scratch_.rows.data() + i * rule_.width; }
  Key* candidates(std::int64_t i) { return scratch_.candidates.data() + i * rule_.width; }

  // Everything about row y that needs no other row; false if nothing in it reaches the threshold.
  bool load(std::int64_t y) {
    const std::int64_t width = rule_.width;
    const std::int64_t at = y - first_ + down_;
    const bool inside = y >= 0 && y < rule_.height;
    const T* row = inside ? map_ + y * width : nullptr;
    if (inside && rule_.smooth) {
      T* means = scratch_.sums.data() + width + 2;
      smooth_row(map_, rule_, y, scratch_.sums.data(), means);
      row = means;
    }
    Key* keys = scratch_.line.data() + across_;
    if (!inside || !row_keys(row, width, threshold_, keys)) {
      std::fill(greatest(at), greatest(at) + width, absent_key<Key>());
      return false;
    }
    scratch_.alive[static_cast<std::size_t>(at)] = 1;

    // Runs that start up to `across_` pixels left of the row: `before` is one that ends beside the
    // pixel, `after` one that starts there.
    Key* spare = scratch_.line.data() + padded_width();
    const Key* runs = spare;  // absent, where there is nothing beside a pixel
    if (across_ > 0) {
      runs = widen(scratch_.line.data(), spare, spare + padded_width(), padded_width(), across_);
    }
    // A strip keeps the candidates of its own rows only; the others' go to the end of the block.
    const bool own = y >= first_ && y < last_;
    Key* kept = own ? candidates(y - first_) : greatest(last_ - first_ + 2 * down_);
    compare_row(keys, runs + across_, width, across_, strict_, kept, greatest(at));
    return true;
  }

  const T* map_;
  const PeakRule& rule_;
  std::int64_t first_;
  std::int64_t last_;
  std::int64_t across_;
  std::int64_t down_;
  Key threshold_;
  Key strict_;
  PeakScratch<T>& scratch_;
};

// Peaks in falling order of key: a stable radix sort of up to twelve bits at a time, over the bits
// in which the keys differ.
template <typename T>
void radix_sort(std::vector<Peak<T>>& peaks, std::vector<Peak<T>>& spare) {
  using Bits = std::make_unsigned_t<OrderKey<T>>;
  constexpr int kMostDigit = 12;
  OrderKey<T> least = peaks[0].key;
  OrderKey<T> greatest = least;
  for (const Peak<T>& peak : peaks) {
    least = std::min(least, peak.key);
    greatest = std::max(greatest, peak.key);
  }
  const auto below = [greatest](const Peak<T>& peak) {  // greater where the key is smaller
    return static_cast<Bits>(greatest) - static_cast<Bits>(peak.key);
  };
  const int used = std::bit_width(static_cast<Bits>(greatest) - static_cast<Bits>(least));
  const int passes = (used + kMostDigit - 1) / kMostDigit;
  spare.resize(peaks.size());
  for (int pass = 0; pass < passes; ++pass) {
    const int shift = used * pass / passes;
    const Bits mask = (Bits{1} << (used * (pass + 1) / passes - shift)) - 1;
    std::array<std::uint32_t, std::size_t{1} << kMostDigit> starts{};
    for (const Peak<T>& peak : peaks) ++starts[below(peak) >> shift & mask];
    std::uint32_t start = 0;
    for (std::uint32_t& bucket : starts) start += std::exchange(bucket, start);
    for (const Peak<T>& peak : peaks) spare[starts[below(peak) >> shift & mask]++] = peak;
    peaks.swap(spare);
  }
}

}  // namespace

template <typename T>
void find_strip(const T* map, const PeakRule& rule, std::int64_t first_row, std::int64_t last_row,
                PeakScratch<T>& scratch, std::vector<Peak<T>>& peaks) {
  Strip<T>(map, rule, first_row, last_row, scratch).find(peaks);
}

template <typename T>
void sort_peaks(std::vector<Peak<T>>& peaks, std::vector<Peak<T>>& spare) {
  if (peaks.size() > 512) return radix_sort(peaks, spare);
  std::sort(peaks.begin(), peaks.end(), [](const Peak<T>& a, const Peak<T>& b) {
    return a.key != b.key ? a.key > b.key : a.index < b.index;
  });
}

template void find_strip(const float*, const PeakRule&, std::int64_t, std::int64_t,
                         PeakScratch<float>&, std::vector<Peak<float>>&);
template void find_strip(const double*, const PeakRule&, std::int64_t, std::int64_t,
                         PeakScratch<double>&, std::vector<Peak<double>>&);
template void sort_peaks(std::vector<Peak<float>>&, std::vector<Peak<float>>&);
template void sort_peaks(std::vector<Peak<double>>&, std::vector<Peak<double>>&);

}  // namespace fastcount::cpu
