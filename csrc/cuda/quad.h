// Four neighbouring elements of a map, moved by one or two wide accesses. Loops over a quad run to
// its end also where the map ends earlier: with a fixed length they are unrolled and a quad stays
// in registers.
#pragma once

#include <cstdint>

#include "cuda/number.h"

namespace fastcount::cuda {

constexpr int kMapThreads = 256;
constexpr int kQuad = 4;

// Blocks of kMapThreads for a walk over `count` elements, a quad a thread and step. Depends on
// nothing but the count, so that sums come out alike on every GPU.
inline unsigned map_blocks(std::int64_t count) {
  constexpr std::int64_t kMost = 2048;
  const std::int64_t blocks = (count + kQuad * kMapThreads - 1) / (kQuad * kMapThreads);
  return static_cast<unsigned>(blocks < 1 ? 1 : (blocks < kMost ? blocks : kMost));
}

template <typename T>
struct alignas(sizeof(T) < 4 ? kQuad * sizeof(T) : 16) Quad {
  T at[kQuad];
};

#if defined(FASTCOUNT_EMULATOR) || defined(__CUDACC__)

// Elements i .. i + 3 of [0, count); i is a multiple of 4, `from` on 16 bytes. What lies beyond the
// end is left as it was.
template <typename T>
__device__ __forceinline__ void load_quad(const T* from, std::int64_t i, std::int64_t count,
                                          Quad<T>& quad) {
  if (i + kQuad <= count) {
    quad = *reinterpret_cast<const Quad<T>*>(from + i);
  } else {
    for (int k = 0; k < kQuad; ++k) {
      if (i + k < count) quad.at[k] = from[i + k];
    }
  }
}

template <typename T>
__device__ __forceinline__ void store_quad(T* to, std::int64_t i, std::int64_t count,
                                           const Quad<T>& quad) {
  if (i + kQuad <= count) {
    *reinterpret_cast<Quad<T>*>(to + i) = quad;
  } else {
    for (int k = 0; k < kQuad; ++k) {
      if (i + k < count) to[i + k] = quad.at[k];
    }
  }
}

__device__ __forceinline__ std::int64_t first_quad() {
  return kQuad * (static_cast<std::int64_t>(blockIdx.x) * kMapThreads + threadIdx.x);
}

__device__ __forceinline__ std::int64_t quad_step() {
  return kQuad * static_cast<std::int64_t>(gridDim.x) * kMapThreads;
}

#endif

}  // namespace fastcount::cuda
