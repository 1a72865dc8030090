// Local maxima of maps on a GPU: mark them, number them, list them, sort the list.
//
// All steps but one are launches only, so a CUDA graph can hold them; the caller may wait once,
// after number_peaks, to learn how many there are.
#pragma once

#include <cstdint>

#include "cuda/number.h"

namespace fastcount::cuda {

// `scores` [maps, height, width]; the window is 2 * radius + 1 pixels a side.
struct PeakMaps {
  const void* scores;
  Number number;
  std::int64_t maps;
  std::int64_t height;
  std::int64_t width;
  std::int64_t radius;
  double threshold;
  bool smooth;  // average 3 x 3 first, zeros outside counted

  // Marks: one bit a pixel, rows begin on a word of 32.
  std::int64_t row_words() const { return (width + 31) / 32; }
  std::int64_t words() const { return height * row_words(); }  // of one map
  std::int64_t segments() const { return (words() + kSegment - 1) / kSegment; }
  // No two peaks share a window.
  std::int64_t most_peaks() const {
    return ((height + radius) / (radius + 1)) * ((width + radius) / (radius + 1));
  }

  static constexpr std::int64_t kSegment = 1024;  // words that are counted and listed together
};

// One peak; `key` orders scores (math/find_peaks.h).
struct alignas(16) PeakRecord {
  std::int64_t key;
  std::int32_t index;  // row * width + column
  std::int32_t map;
};

// bits [maps, words()] and counts [maps, segments()], int32, are overwritten.
cudaError_t mark_peaks(const PeakMaps& maps, std::uint32_t* bits, std::int32_t* counts,
                       cudaStream_t stream);

// starts [maps * segments() + 1]: how many peaks lie before each segment, then how many in all.
// kept_starts [maps + 1]: the same for each map if a map keeps at most `most` of its peaks.
// totals [2]: both last entries side by side, for a caller that wants to know them.
cudaError_t number_peaks(const PeakMaps& maps, std::int64_t most, const std::int32_t* counts,
                         std::int64_t* starts, std::int64_t* kept_starts, std::int64_t* totals,
                         cudaStream_t stream);

// Lists the peaks by map and index. `capacity` is the room in `peaks`: no fewer than there are.
cudaError_t collect_peaks(const PeakMaps& maps, const std::uint32_t* bits,
                          const std::int64_t* starts, std::int64_t capacity, PeakRecord* peaks,
                          cudaStream_t stream);

// Lists the peaks by map, then falling score, then index. `capacity` is the room in `peaks` and in
// `spare`: no fewer than there are. *sorted becomes whichever of the two holds the result.
cudaError_t list_peaks(const PeakMaps& maps, const std::uint32_t* bits, const std::int64_t* starts,
                       std::int64_t capacity, PeakRecord* peaks, PeakRecord* spare,
                       const PeakRecord** sorted, cudaStream_t stream);

// The kept peaks one after the other: points [kept, 2], values [kept], and of which image and
// channel each is; `capacity` as above.
cudaError_t write_peaks(const PeakMaps& maps, const PeakRecord* sorted, std::int64_t capacity,
                        const std::int64_t* starts, const std::int64_t* kept_starts,
                        std::int64_t channels, float* points, void* values, std::int64_t* batch,
                        std::int64_t* channel, cudaStream_t stream);

// The kept peaks of each map in `slots` places: points [maps, slots, 2] (-1 in free places), values
// [maps, slots] (0 there) and valid [maps].
cudaError_t pad_peaks(const PeakMaps& maps, const PeakRecord* sorted, const std::int64_t* starts,
                      const std::int64_t* kept_starts, std::int64_t slots, float* points,
                      void* values, std::int64_t* valid, cudaStream_t stream);

// The same from peaks that are listed, not sorted, for `slots` up to kMostTop.
constexpr std::int64_t kMostTop = 1024;
cudaError_t top_peaks(const PeakMaps& maps, const PeakRecord* listed, const std::int64_t* starts,
                      std::int64_t slots, float* points, void* values, std::int64_t* valid,
                      cudaStream_t stream);

}  // namespace fastcount::cuda
