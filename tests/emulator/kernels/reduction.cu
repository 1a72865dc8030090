// Kernels that try out the emulator itself: sums over rows, right and with one barrier missing.
#include "cuda/number.h"

namespace {

constexpr int kThreads = 128;

// One block a row: warps add up by shuffles, then one warp adds the warps' sums.
template <bool kWithBarrier>
__global__ void row_sums(const float* values, int columns, float* sums) {
  __shared__ float partial[kThreads / 32];
  const float* row = values + static_cast<std::size_t>(blockIdx.x) * columns;
  float sum = 0.0f;
  for (int i = threadIdx.x; i < columns; i += blockDim.x) sum += row[i];
  for (int step = 16; step > 0; step /= 2) sum += __shfl_down_sync(0xFFFFFFFFu, sum, step);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = sum;
  if (kWithBarrier) __syncthreads();
  if (threadIdx.x == 0) {
    float total = 0.0f;
    for (float each : partial) total += each;
    sums[blockIdx.x] = total;
  }
}

// Each row reversed through dynamic shared memory of `held` floats.
__global__ void reversed_rows(const float* values, int columns, float* out) {
  float* row = fastcount::cuda::dynamic_shared<float>();
  const std::size_t start = static_cast<std::size_t>(blockIdx.x) * columns;
  for (int i = threadIdx.x; i < columns; i += blockDim.x) row[i] = values[start + i];
  __syncthreads();
  for (int i = threadIdx.x; i < columns; i += blockDim.x) out[start + i] = row[columns - 1 - i];
}

__global__ void nothing(int) {}

enum Mistake { kHalfTheBlockWaits, kReturnedLaneInMask, kTrap };

__global__ void mistaken(int mistake, int* out) {
  if (mistake == kHalfTheBlockWaits && threadIdx.x < 32) return;
  if (mistake == kHalfTheBlockWaits) __syncthreads();
  if (mistake == kReturnedLaneInMask && threadIdx.x == 3) return;
  if (mistake == kReturnedLaneInMask) out[0] = __any_sync(0xFFFFFFFFu, 1);
  if (mistake == kTrap) __trap();
}

template <typename T>
__global__ void doubled(const T* in, int count, T* out) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  using fastcount::cuda::from_compute;
  using fastcount::cuda::to_compute;
  if (i < count) out[i] = from_compute<T>(2 * to_compute(in[i]));
}

}  // namespace

extern "C" {

int trial_row_sums(const float* values, int rows, int columns, float* sums, int with_barrier) {
  if (with_barrier)
    return LAUNCH((row_sums<true>), rows, kThreads, 0, nullptr, values, columns, sums);
  return LAUNCH((row_sums<false>), rows, kThreads, 0, nullptr, values, columns, sums);
}

// `held` < columns is a mistake that a sanitizer must see.
int trial_reversed(const float* values, int rows, int columns, float* out, int held) {
  return LAUNCH(reversed_rows, rows, 64, held * sizeof(float), nullptr, values, columns, out);
}

int trial_mistake(int mistake, int* out) {
  return LAUNCH(mistaken, 1, 64, 0, nullptr, mistake, out);
}

// A grid of `count` blocks, none of which does anything.
int trial_blocks(long long count) {
  return LAUNCH(nothing, fastcount::cuda::blocks_across(count), 1, 0, nullptr, 0);
}

int trial_doubled(const void* in, int count, void* out, int number) {
  return fastcount::cuda::visit_number(
      static_cast<fastcount::cuda::Number>(number), [&](auto zero) -> cudaError_t {
        using T = decltype(zero);
        return LAUNCH((doubled<T>), (count + 63) / 64, 64, 0, nullptr, static_cast<const T*>(in),
                      count, static_cast<T*>(out));
      });
}
}
