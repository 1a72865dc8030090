// CountSeg's peaks as maps, on a GPU: values at strict local maxima, and a mask of the highest.
#pragma once

#include <cstdint>

#include "cuda/number.h"

namespace fastcount::cuda {

// out = values where `maps` is strictly greater than everything within `radius`, 0 elsewhere; all
// [count, height, width] of one number type.
cudaError_t peak_map(Number number, const void* maps, const void* values, std::int64_t count,
                     std::int64_t height, std::int64_t width, std::int64_t radius, void* out,
                     cudaStream_t stream);

// mask [count, pixels] = 1 where an entry of `peaks` is not 0 and at least the t-th highest such
// entry of its map, t [count]; else 0. A NaN is no peak.
cudaError_t top_peaks_mask(Number number, const void* peaks, const std::int64_t* t,
                           std::int64_t count, std::int64_t pixels, void* mask,
                           cudaStream_t stream);

}  // namespace fastcount::cuda
