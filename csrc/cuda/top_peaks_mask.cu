// Floor: a map read and a map written, 8 HW bytes in float32.
//
// One block a map. The t-th highest is found by its digits, eight bits at a time from the top:
// how many peaks that agree so far have each next digit is counted in shared memory (whole
// numbers, so the order of counting does not show). Each digit reads the map again, 4 times in
// float32, 16 bytes at a time where it is aligned so: small maps, 14 x 14 in CountSeg, stay in
// the first-level cache. On an H200, 640 maps of 14 x 14: 0.023 ms, which is the launch.
#include "cuda/peak_key.h"
#include "cuda/peak_map.h"

namespace fastcount::cuda {
namespace {

constexpr int kThreads = 256;  // also the number of digits
constexpr int kDigit = 8;

template <typename Value>
__device__ __forceinline__ bool is_peak(Value entry) {
  return entry < Value(0) || entry > Value(0);  // false for NaN
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    mask_top(const T* maps, const std::int64_t* t, std::int64_t pixels, T* masks) {
  __shared__ int digits[kThreads];
  __shared__ std::int64_t wanted;  // which of the peaks that agree so far, the highest being 1
  __shared__ std::uint64_t agreed;
  const T* map = maps + blockIdx.x * pixels;
  T* mask = masks + blockIdx.x * pixels;
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    wanted = t[blockIdx.x];
    agreed = 0;
  }
  __syncthreads();
  const bool none = wanted <= 0;
  for (int shift = 8 * static_cast<int>(sizeof(PeakKey<T>)) - kDigit; shift >= 0 && !none;
       shift -= kDigit) {
    digits[thread] = 0;
    __syncthreads();
    const std::uint64_t same = agreed >> shift >> kDigit;
    for (std::int64_t i = thread * kWide<T>; i < pixels; i += kThreads * kWide<T>) {
      compute_t<T> entries[kWide<T>];
      read_wide(map, i, pixels, compute_t<T>(0), entries);
      for (const compute_t<T> entry : entries) {
        if (!is_peak(entry)) continue;
        const std::uint64_t height = height_of(order_key(entry));
        if (height >> shift >> kDigit == same) {
          atomicAdd(&digits[height >> shift & (kThreads - 1)], 1);
        }
      }
    }
    __syncthreads();
    std::int64_t higher = 0;
    for (int digit = thread + 1; digit < kThreads; ++digit) higher += digits[digit];
    const std::int64_t rank = wanted;
    // Nobody's where there are fewer than t: `agreed` stays 0, and every peak is at least that.
    const bool mine = rank > higher && rank <= higher + digits[thread];
    __syncthreads();
    if (mine) {
      agreed |= static_cast<std::uint64_t>(thread) << shift;
      wanted = rank - higher;
    }
    __syncthreads();
  }
  for (std::int64_t i = thread * kWide<T>; i < pixels; i += kThreads * kWide<T>) {
    compute_t<T> entries[kWide<T>];
    read_wide(map, i, pixels, compute_t<T>(0), entries);
    Wide<T> marks;
    for (int k = 0; k < kWide<T>; ++k) {
      const bool in = !none && is_peak(entries[k]) && height_of(order_key(entries[k])) >= agreed;
      marks.at[k] = from_compute<T>(in ? 1 : 0);
    }
    write_wide(mask, i, pixels, marks);
  }
}

}  // namespace

cudaError_t top_peaks_mask(Number number, const void* peaks, const std::int64_t* t,
                           std::int64_t count, std::int64_t pixels, void* mask,
                           cudaStream_t stream) {
  return visit_number(number, [&](auto zero) -> cudaError_t {
    using T = decltype(zero);
    return LAUNCH(mask_top<T>, blocks_across(count), kThreads, 0, stream,
                  static_cast<const T*>(peaks), t, pixels, static_cast<T*>(mask));
  });
}

}  // namespace fastcount::cuda
