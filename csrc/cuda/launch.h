// CUDA, or its emulation on a CPU (csrc/emulator), and how a kernel is launched.
//
//   return LAUNCH(kernel, grid, block, shared_bytes, stream, arguments...);      cudaError_t
//   return LAUNCH((kernel<float, 3>), ...);                                      a template
//
// The error is the launch's own; what happens while the kernel runs shows up at the next call that
// waits. Dynamic shared memory, aligned to 16 bytes:  T* tile = dynamic_shared<T>();
// A grid's size comes from blocks_across(...), so that one too large is an error.
#pragma once

#include <cstdint>

#if defined(FASTCOUNT_EMULATOR)

#include "emulator/emulator.h"

#define LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
  (static_cast<void>(stream), ::emulator::launch(kernel, grid, block, shared_bytes, __VA_ARGS__))

namespace fastcount::cuda {

template <typename T>
inline T* dynamic_shared() {
  return static_cast<T*>(::emulator::dynamic_shared());
}

}  // namespace fastcount::cuda

#else

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#if defined(__CUDACC__)

#define LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
  (kernel<<<grid, block, shared_bytes, stream>>>(__VA_ARGS__), cudaGetLastError())

namespace fastcount::cuda {

template <typename T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char fastcount_dynamic_shared[];
  return reinterpret_cast<T*>(fastcount_dynamic_shared);
}

}  // namespace fastcount::cuda

#endif
#endif

namespace fastcount::cuda {

// How many blocks of `each` elements hold `count` of them. Where no GPU takes so many the greatest
// number is returned, with which a launch fails: cut to 32 bits it might be small, and the work
// half done without a word.
inline unsigned blocks_across(std::int64_t count, std::int64_t each = 1) {
  const std::int64_t blocks = (count + each - 1) / each;
  return blocks <= INT32_MAX ? static_cast<unsigned>(blocks) : UINT32_MAX;
}

}  // namespace fastcount::cuda
