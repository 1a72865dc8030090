// Marking and counting.
//
// Floor: 4 HW bytes read, HW / 8 written (one bit a pixel), 8 bytes for each peak.
//
// Windows of 3 x 3: warps walk down the rows (warp_rows.h), 9 comparisons a pixel where anything
// beside it reaches the threshold. On an H200, padded peaks of 64 maps of 1024 x 1024, listing
// and sorting included: 0.183 ms, 35 % of what a copy moves (measured when a ninth more rows were
// read than are used; not since).
//
// Others, and maps that are smoothed: a key for each pixel (3 operations) and, where a value
// reaches the threshold, comparisons with its window until one is lost, k * k - 1 for a peak; a
// block keeps the keys of 128 x 16 pixels and a margin in shared memory, read 16 bytes at a time
// where a row is aligned so. Only values that reach the threshold take part, and a block without
// any is done at once. Larger windows than the margin: those who stand out within the margin are
// few (one in 64 pixels at most), and a warp looks at the whole window of each.
#include "cuda/find_peaks.h"

#include <algorithm>
#include <limits>

#include "cuda/peak_key.h"
#include "cuda/warp_rows.h"

namespace fastcount::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kTileWidth = 128;
constexpr int kTileHeight = 16;
constexpr int kMostMargin = 7;

// A map without its size's 64-bit arithmetic: a map has fewer than 2^31 pixels.
struct Shape {
  int height, width, row_words, segments;
};

// Whether nothing within `margin` of the key at `here` beats it.
template <typename Key>
__device__ __forceinline__ bool stands_out(const Key* here, int stride, int margin) {
  const Key key = *here;
  if (key == absent_key<Key>()) return false;
  const Key absent = absent_key<Key>();
  for (int x = 1; x <= margin; ++x) {
    if (!beats_window(key, here[-x], here[x])) return false;
  }
  for (int y = 1; y <= margin; ++y) {
    for (int x = -margin; x <= margin; ++x) {
      if (!beats_window(key, here[x - y * stride], absent)) return false;
      if (!beats_window(key, absent, here[x + y * stride])) return false;
    }
  }
  return true;
}

template <typename T, bool kSmooth>
__global__ void __launch_bounds__(kThreads)
    mark_tiles(const T* scores, Shape shape, int margin, PeakKey<T> least, std::uint32_t* bits,
               std::int32_t* counts) {
  using Key = PeakKey<T>;
  Key* keys = dynamic_shared<Key>();
  const int side = wide_margin<T>(margin);  // columns held beside the tile's own
  const int stride = kTileWidth + 2 * side;
  const int across = (shape.width + kTileWidth - 1) / kTileWidth;
  const int down = (shape.height + kTileHeight - 1) / kTileHeight;
  const int tile_left = static_cast<int>(blockIdx.x % across) * kTileWidth;
  const int tile_top = static_cast<int>(blockIdx.x / across % down) * kTileHeight;
  const std::int64_t map_number = blockIdx.x / across / down;
  const T* map = scores + map_number * shape.height * shape.width;

  bool any = false;
  const int chunks = stride / kWide<T>;
  for (int i = static_cast<int>(threadIdx.x); i < chunks * (kTileHeight + 2 * margin);
       i += kThreads) {
    const int row = i / chunks;
    const int column = i % chunks * kWide<T>;
    Key found[kWide<T>];
    peak_keys<T, kSmooth>(map, shape.height, shape.width, least, tile_top + row - margin,
                          tile_left + column - side, found);
    for (int k = 0; k < kWide<T>; ++k) {
      keys[row * stride + column + k] = found[k];
      any |= found[k] != absent_key<Key>();
    }
  }
  const bool some = __syncthreads_or(any) != 0;

  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int word = static_cast<int>(threadIdx.x) / 32; word < kTileHeight * kTileWidth / 32;
       word += kThreads / 32) {
    const int row = word / (kTileWidth / 32);
    const int column = word % (kTileWidth / 32) * 32 + lane;
    const bool peak =
        some && stands_out(keys + (row + margin) * stride + column + side, stride, margin);
    const std::uint32_t found = __ballot_sync(0xFFFFFFFFu, peak);
    const int y = tile_top + row;
    const int word_x = (tile_left + column) / 32;
    if (lane != 0 || y >= shape.height || word_x >= shape.row_words) continue;
    const std::int64_t at = static_cast<std::int64_t>(y) * shape.row_words + word_x;
    bits[map_number * shape.height * shape.row_words + at] = found;
    if (found != 0) {
      atomicAdd(&counts[map_number * shape.segments + at / PeakMaps::kSegment], __popc(found));
    }
  }
}

// Windows of 3 x 3, not smoothed. NaN, which stands for what is outside too, beats nothing:
// `greater` passes it over. A word of marks is gathered from the lanes that hold its pixels.
template <typename T, bool kAligned>
__global__ void __launch_bounds__(kRowThreads)
    mark_rows(const T* __restrict__ scores, std::int64_t count, MapShape shape, Shape words,
              compute_t<T> threshold, std::uint32_t* __restrict__ bits, std::int32_t* counts) {
  using Value = compute_t<T>;
  constexpr int kCount = kWide<T>;
  constexpr int kLanesOfWord = 32 / kCount;
  const Walk walk = Walk::of_warp(shape, 32 * kCount);
  if (walk.map >= count) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int x = walk.left + lane * kCount;
  const RowReader<T, kAligned, true> reader(scores, shape, walk, x);
  const Value none = std::numeric_limits<Value>::quiet_NaN();
  const int top = walk.top;
  const int bottom = min(top + kRowsOfWalk, shape.height);
  const int word_x = x / 32;
  const bool writes = lane % kLanesOfWord == 0 && word_x < words.row_words;
  std::uint32_t* map_bits = bits + walk.map * shape.height * words.row_words;
  std::int32_t* map_counts = counts + walk.map * words.segments;
  LoadedPart<T> soon = reader.load(top + 1);
  LoadedPart<T> later = reader.load(top + 2);
  RowPart<Value, kCount> last = reader.spread(reader.load(top - 1), top - 1, none);
  RowPart<Value, kCount> here = reader.spread(reader.load(top), top, none);
  int segment = 0;
  int found = 0;  // in it, not yet told
#pragma unroll 2
  for (int y = top; y < bottom; ++y) {
    const RowPart<Value, kCount> next = reader.spread(soon, y + 1, none);
    soon = later;
    later = reader.load(y + 3);
    bool reaches = false;
#pragma unroll
    for (int k = 0; k < kCount; ++k) reaches |= here.at[k + 1] >= threshold;
    std::uint32_t word = 0;
    const int at = y * words.row_words + word_x;
    // Mostly there is nothing to look at.
    if (__any_sync(0xFFFFFFFFu, reaches)) {
      Value above[kCount];
      Value below[kCount];
      greatest_of_three(last, above);
      greatest_of_three(next, below);
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        const Value own = here.at[k + 1];
        const bool peak =
            static_cast<bool>((own >= threshold) & !(greater(above[k], here.at[k]) >= own) &
                              !(greater(below[k], here.at[k + 2]) > own));
        word |= static_cast<std::uint32_t>(peak) << k;
      }
      word <<= lane % kLanesOfWord * kCount;
      for (int step = 1; step < kLanesOfWord; step *= 2) {
        word |= __shfl_xor_sync(0xFFFFFFFFu, word, step);
      }
      if (writes && word != 0) {
        if (at / static_cast<int>(PeakMaps::kSegment) != segment) {
          if (found != 0) atomicAdd(&map_counts[segment], found);
          segment = at / static_cast<int>(PeakMaps::kSegment);
          found = 0;
        }
        found += __popc(word);
      }
    }
    if (writes) map_bits[at] = word;
    last = here;
    here = next;
  }
  if (writes && found != 0) atomicAdd(&map_counts[segment], found);
}

// A warp for each word of marks: takes back those that something in the whole window beats.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    check_windows(const T* scores, Shape shape, int radius, bool smooth, PeakKey<T> least,
                  std::int64_t words, std::uint32_t* bits, std::int32_t* counts) {
  using Key = PeakKey<T>;
  const std::int64_t word = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) / 32;
  if (word >= words) return;  // the whole warp
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int64_t map_words = static_cast<std::int64_t>(shape.height) * shape.row_words;
  const std::int64_t map_number = word / map_words;
  const std::int64_t at = word % map_words;
  const int y = static_cast<int>(at / shape.row_words);
  const int first_x = static_cast<int>(at % shape.row_words) * 32;
  const T* map = scores + map_number * shape.height * shape.width;
  const auto key_at = [&](int row, int column) {
    return peak_key<T>(map, shape.height, shape.width, smooth, least, row, column);
  };

  const std::uint32_t marked = bits[word];
  std::uint32_t kept = marked;
  for (int bit = 0; bit < 32; ++bit) {
    if ((marked >> bit & 1u) == 0) continue;
    const int x = first_x + bit;
    const Key key = key_at(y, x);
    const int top = max(y - radius, 0);
    const int bottom = min(y + radius, shape.height - 1);
    const int left = max(x - radius, 0);
    const int right = min(x + radius, shape.width - 1);
    bool beaten = false;
    for (int row = top; row <= bottom && !beaten; ++row) {
      bool lost = false;
      for (int column = left + lane; column <= right; column += 32) {
        const bool itself = row == y && column == x;
        const bool before = row < y || (row == y && column < x);
        const Key other = itself ? absent_key<Key>() : key_at(row, column);
        lost |= before ? other >= key : other > key;
      }
      beaten = __any_sync(0xFFFFFFFFu, lost) != 0;
    }
    if (beaten) kept &= ~(1u << bit);
  }
  if (lane == 0 && kept != marked) {
    bits[word] = kept;
    atomicAdd(&counts[map_number * shape.segments + at / PeakMaps::kSegment],
              __popc(kept) - __popc(marked));
  }
}

template <typename T>
cudaError_t mark(const PeakMaps& maps, std::uint32_t* bits, std::int32_t* counts,
                 cudaStream_t stream) {
  const auto* scores = static_cast<const T*>(maps.scores);
  const Shape shape{static_cast<int>(maps.height), static_cast<int>(maps.width),
                    static_cast<int>(maps.row_words()), static_cast<int>(maps.segments())};
  if (maps.radius == 1 && !maps.smooth) {
    const MapShape map_shape{shape.height, shape.width};
    const auto least = static_cast<compute_t<T>>(maps.threshold);
    const std::int64_t walks = maps.maps * walks_of(maps.height, maps.width, 32 * kWide<T>);
    const unsigned blocks = blocks_across(walks, kRowWarps);
    return rows_aligned<T>(scores, maps.width)
               ? LAUNCH((mark_rows<T, true>), blocks, kRowThreads, 0, stream, scores, maps.maps,
                        map_shape, shape, least, bits, counts)
               : LAUNCH((mark_rows<T, false>), blocks, kRowThreads, 0, stream, scores, maps.maps,
                        map_shape, shape, least, bits, counts);
  }
  const PeakKey<T> threshold = order_key(static_cast<compute_t<T>>(maps.threshold));
  const std::int64_t across = (maps.width + kTileWidth - 1) / kTileWidth;
  const std::int64_t down = (maps.height + kTileHeight - 1) / kTileHeight;
  const std::int64_t reach = std::min(maps.radius, std::max(maps.height, maps.width) - 1);
  const int margin = static_cast<int>(std::min<std::int64_t>(reach, kMostMargin));
  const std::size_t shared =
      sizeof(PeakKey<T>) * (kTileWidth + 2 * wide_margin<T>(margin)) * (kTileHeight + 2 * margin);
  const unsigned tiles = blocks_across(across * down * maps.maps);
  const cudaError_t error = maps.smooth
                                ? LAUNCH((mark_tiles<T, true>), tiles, kThreads, shared, stream,
                                         scores, shape, margin, threshold, bits, counts)
                                : LAUNCH((mark_tiles<T, false>), tiles, kThreads, shared, stream,
                                         scores, shape, margin, threshold, bits, counts);
  if (error != cudaSuccess || reach <= margin) return error;
  const std::int64_t words = maps.words() * maps.maps;
  return LAUNCH(check_windows<T>, blocks_across(words, kThreads / 32), kThreads, 0, stream, scores,
                shape, static_cast<int>(reach), maps.smooth, threshold, words, bits, counts);
}

// The sum of the values of the threads before this one; *all becomes the sum of every thread's.
__device__ __forceinline__ std::int64_t block_exclusive_sum(std::int64_t value, std::int64_t* warps,
                                                            std::int64_t* all) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  std::int64_t sum = value;
  for (int step = 1; step < 32; step *= 2) {
    const std::int64_t lower = __shfl_up_sync(0xFFFFFFFFu, sum, step);
    if (lane >= step) sum += lower;
  }
  if (lane == 31) warps[threadIdx.x / 32] = sum;
  __syncthreads();
  std::int64_t before = 0;
  std::int64_t total = 0;
  for (int warp = 0; warp < static_cast<int>(blockDim.x) / 32; ++warp) {
    if (warp < static_cast<int>(threadIdx.x) / 32) before += warps[warp];
    total += warps[warp];
  }
  __syncthreads();
  *all = total;
  return before + sum - value;
}

__global__ void __launch_bounds__(1024)
    number_all(std::int64_t maps, int segments, std::int64_t most, const std::int32_t* counts,
               std::int64_t* starts, std::int64_t* kept_starts, std::int64_t* totals) {
  __shared__ std::int64_t warps[32];
  std::int64_t carried = 0;
  for (std::int64_t first = 0; first < maps * segments; first += blockDim.x) {
    const std::int64_t i = first + threadIdx.x;
    std::int64_t all;
    const std::int64_t before =
        block_exclusive_sum(i < maps * segments ? counts[i] : 0, warps, &all);
    if (i < maps * segments) starts[i] = carried + before;
    carried += all;
  }
  if (threadIdx.x == 0) starts[maps * segments] = totals[0] = carried;
  __syncthreads();  // the block's own starts are read below
  carried = 0;
  for (std::int64_t first = 0; first < maps; first += blockDim.x) {
    const std::int64_t map = first + threadIdx.x;
    std::int64_t all;
    const std::int64_t kept =
        map < maps ? min(starts[(map + 1) * segments] - starts[map * segments], most) : 0;
    const std::int64_t before = block_exclusive_sum(kept, warps, &all);
    if (map < maps) kept_starts[map] = carried + before;
    carried += all;
  }
  if (threadIdx.x == 0) kept_starts[maps] = totals[1] = carried;
}

}  // namespace

cudaError_t mark_peaks(const PeakMaps& maps, std::uint32_t* bits, std::int32_t* counts,
                       cudaStream_t stream) {
  const cudaError_t error = cudaMemsetAsync(
      counts, 0, sizeof(std::int32_t) * static_cast<std::size_t>(maps.maps * maps.segments()),
      stream);
  if (error != cudaSuccess) return error;
  return visit_number(maps.number, [&](auto zero) -> cudaError_t {
    return mark<decltype(zero)>(maps, bits, counts, stream);
  });
}

cudaError_t number_peaks(const PeakMaps& maps, std::int64_t most, const std::int32_t* counts,
                         std::int64_t* starts, std::int64_t* kept_starts, std::int64_t* totals,
                         cudaStream_t stream) {
  const bool few = maps.maps * maps.segments() <= 256;
  return LAUNCH(number_all, 1, few ? 256 : 1024, 0, stream, maps.maps,
                static_cast<int>(maps.segments()), most, counts, starts, kept_starts, totals);
}

}  // namespace fastcount::cuda
