// What a .cu file needs of CUDA, for g++: `g++ -x c++ -DFASTCOUNT_EMULATOR -Icsrc file.cu`.
//
// A CUDA name that is missing here does not compile; add it with CUDA's own meaning. Left out on
// purpose: atomicAdd of float or double (the order of additions would change the last bits).
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "emulator/half.h"
#include "emulator/runtime.h"
#include "emulator/scheduler.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __shared__ static  // one block at a time, so one copy serves
#define __launch_bounds__(...)

// ---- vector types

#define FASTCOUNT_VECTOR(T, NAME, ALIGN2, ALIGN4)            \
  struct alignas(ALIGN2) NAME##2 { T x, y; };                \
  struct alignas(ALIGN4) NAME##4 { T x, y, z, w; };          \
  inline NAME##2 make_##NAME##2(T x, T y) { return {x, y}; } \
  inline NAME##4 make_##NAME##4(T x, T y, T z, T w) { return {x, y, z, w}; }
FASTCOUNT_VECTOR(float, float, 8, 16)
FASTCOUNT_VECTOR(double, double, 16, 16)
FASTCOUNT_VECTOR(int, int, 8, 16)
FASTCOUNT_VECTOR(unsigned, uint, 8, 16)
#undef FASTCOUNT_VECTOR

// ---- arithmetic

template <typename T>
  requires std::is_arithmetic_v<T>
inline T min(T a, T b) {
  return b < a ? b : a;
}
template <typename T>
  requires std::is_arithmetic_v<T>
inline T max(T a, T b) {
  return a < b ? b : a;
}
inline int __popc(unsigned value) { return std::popcount(value); }
inline int __popcll(unsigned long long value) { return std::popcount(value); }
inline int __clz(int value) { return std::countl_zero(static_cast<unsigned>(value)); }
inline int __ffs(int value) {
  return value == 0 ? 0 : std::countr_zero(static_cast<unsigned>(value)) + 1;
}
inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }
inline int __float_as_int(float value) { return std::bit_cast<int>(value); }
inline float __uint_as_float(unsigned value) { return std::bit_cast<float>(value); }
inline float __int_as_float(int value) { return std::bit_cast<float>(value); }
inline long long __double_as_longlong(double value) { return std::bit_cast<long long>(value); }
inline double __longlong_as_double(long long value) { return std::bit_cast<double>(value); }

template <typename T>
inline T __ldg(const T* address) {
  return *address;
}

// ---- barriers and exchanges; `line` tells errors apart

inline void __syncthreads(int line = __builtin_LINE()) { emulator::block_barrier(false, line); }
inline int __syncthreads_count(int predicate, int line = __builtin_LINE()) {
  return emulator::block_barrier(predicate != 0, line);
}
inline int __syncthreads_or(int predicate, int line = __builtin_LINE()) {
  return __syncthreads_count(predicate, line) != 0;
}
inline int __syncthreads_and(int predicate, int line = __builtin_LINE()) {
  const auto threads = static_cast<int>(blockDim.x * blockDim.y * blockDim.z);
  return __syncthreads_count(predicate, line) == threads;
}
inline void __syncwarp(unsigned mask = 0xFFFFFFFFu, int line = __builtin_LINE()) {
  emulator::warp_exchange(emulator::Exchange::kBallot, mask, 0, 0, line);
}
inline void __threadfence() {}
inline void __threadfence_block() {}
[[noreturn]] inline void __trap(int line = __builtin_LINE()) { emulator::fail("trap", line); }

inline unsigned __ballot_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
  return static_cast<unsigned>(
      emulator::warp_exchange(emulator::Exchange::kBallot, mask, predicate != 0 ? 1 : 0, 0, line));
}
inline int __any_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
  return __ballot_sync(mask, predicate, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
  return __ballot_sync(mask, predicate, line) == mask;
}

template <typename T>
inline T emulated_shuffle(unsigned mask, T value, int source, int line) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = emulator::warp_exchange(emulator::Exchange::kShuffle, mask, bits, source, line);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

// `width` cuts the warp into groups of that many lanes; a source outside the group is oneself.
template <typename T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32,
                     int line = __builtin_LINE()) {
  const int group = emulator::lane() & ~(width - 1);
  return emulated_shuffle(mask, value, group | (source & (width - 1)), line);
}
template <typename T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                        int line = __builtin_LINE()) {
  const int lane = emulator::lane();
  const int source = lane - static_cast<int>(delta);
  return emulated_shuffle(mask, value, source < (lane & ~(width - 1)) ? lane : source, line);
}
template <typename T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                          int line = __builtin_LINE()) {
  const int lane = emulator::lane();
  const int source = lane + static_cast<int>(delta);
  return emulated_shuffle(mask, value, source > (lane | (width - 1)) ? lane : source, line);
}
template <typename T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                         int line = __builtin_LINE()) {
  const int lane = emulator::lane();
  const int source = lane ^ bits;
  return emulated_shuffle(mask, value, source > (lane | (width - 1)) ? lane : source, line);
}
template <typename T>
inline unsigned __match_any_sync(unsigned mask, T value, int line = __builtin_LINE()) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return static_cast<unsigned>(
      emulator::warp_exchange(emulator::Exchange::kMatch, mask, bits, 0, line));
}

// ---- atomics on whole numbers; fibers do not interrupt each other

template <typename T, typename Change>
  requires std::is_integral_v<T>
inline T emulated_atomic(T* address, Change change) {
  const T old = *address;
  *address = change(old);
  return old;
}
template <typename T>
inline T atomicAdd(T* address, std::type_identity_t<T> value) {
  return emulated_atomic(address, [value](T old) { return static_cast<T>(old + value); });
}
template <typename T>
inline T atomicMin(T* address, std::type_identity_t<T> value) {
  return emulated_atomic(address, [value](T old) { return value < old ? value : old; });
}
template <typename T>
inline T atomicMax(T* address, std::type_identity_t<T> value) {
  return emulated_atomic(address, [value](T old) { return old < value ? value : old; });
}
template <typename T>
inline T atomicOr(T* address, std::type_identity_t<T> value) {
  return emulated_atomic(address, [value](T old) { return static_cast<T>(old | value); });
}
template <typename T>
inline T atomicExch(T* address, std::type_identity_t<T> value) {
  return emulated_atomic(address, [value](T) { return value; });
}
template <typename T>
inline T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return emulated_atomic(address, [=](T old) { return old == expected ? value : old; });
}

// ---- launch

namespace emulator {

template <typename... Parameters, typename... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
                   Arguments&&... arguments) {
  const cudaError_t refused =
      check_launch(reinterpret_cast<const void*>(kernel), grid, block, shared_bytes);
  if (refused != cudaSuccess) return refused;
  const std::tuple<Parameters...> copies(std::forward<Arguments>(arguments)...);
  const bool ran = run_grid(grid, block, shared_bytes, [&] { std::apply(kernel, copies); });
  return set_last_error(ran ? cudaSuccess : cudaErrorLaunchFailure);
}

}  // namespace emulator

template <typename... Parameters>
inline cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute attribute,
                                        int value) {
  return emulator::set_attribute(reinterpret_cast<const void*>(kernel), attribute, value);
}
