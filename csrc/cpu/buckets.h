// Things sorted into numbered buckets, of which each thing may belong to several neighbouring ones.
//
// Two passes over the things, whatever the number of buckets; in a bucket they keep their order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace fastcount::cpu {

// The first and the last bucket of a thing; none where first > last.
struct BucketRange {
  std::int64_t first;
  std::int64_t last;
};

class Buckets {
 public:
  // Sorts `things`, whole numbers below 2^31, into `count` buckets: each into those of
  // reach(thing).
  template <typename Things, typename Reach>
  void fill(std::int64_t count, const Things& things, Reach reach) {
    // Bucket b begins at start_[b] in the end; until then start_[b + 1] is where its next one goes.
    start_.assign(static_cast<std::size_t>(count) + 2, 0);
    for (const auto thing : things) {
      const BucketRange range = reach(thing);
      for (std::int64_t b = range.first; b <= range.last; ++b) ++start_[at(b + 2)];
    }
    for (std::int64_t b = 2; b <= count + 1; ++b) start_[at(b)] += start_[at(b - 1)];
    things_.resize(start_.back());
    for (const auto thing : things) {
      const BucketRange range = reach(thing);
      for (std::int64_t b = range.first; b <= range.last; ++b) {
        things_[start_[at(b + 1)]++] = static_cast<std::int32_t>(thing);
      }
    }
  }

  std::span<const std::int32_t> operator[](std::int64_t bucket) const {
    return {things_.data() + start_[at(bucket)], things_.data() + start_[at(bucket + 1)]};
  }

 private:
  static constexpr std::size_t at(std::int64_t place) { return static_cast<std::size_t>(place); }

  std::vector<std::size_t> start_;
  std::vector<std::int32_t> things_;
};

}  // namespace fastcount::cpu
