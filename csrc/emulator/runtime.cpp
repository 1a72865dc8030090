#include "emulator/runtime.h"

#include <cstdint>
#include <cstring>
#include <map>

namespace {

constexpr std::size_t kShared = 48 * 1024;
constexpr std::size_t kMostShared = 163 * 1024;  // of a block on sm_80, after cudaFuncSetAttribute

cudaError_t last_error = cudaSuccess;
std::map<const void*, std::size_t> shared_limits;

}  // namespace

cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorLaunchFailure:
      return emulator::message();
  }
  return "unknown error";
}

cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t) {
  if (bytes > 0) std::memset(memory, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                            cudaStream_t) {
  if (bytes > 0) std::memcpy(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  *value = 4;  // few, so that loops over the grid's stride take several turns
  return cudaSuccess;
}

namespace emulator {

cudaError_t check_launch(const void* kernel, dim3 grid, dim3 block, std::size_t shared_bytes) {
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  const auto limit = shared_limits.find(kernel);
  const std::size_t most = limit == shared_limits.end() ? kShared : limit->second;
  const bool fits = threads >= 1 && threads <= 1024 && block.z <= 64 && grid.x >= 1 &&
                    grid.x <= 0x7FFFFFFFu && grid.y >= 1 && grid.y <= 65535 && grid.z >= 1 &&
                    grid.z <= 65535;
  if (!fits) return set_last_error(cudaErrorInvalidConfiguration);
  return set_last_error(shared_bytes <= most ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t set_attribute(const void* kernel, cudaFuncAttribute, int value) {
  if (value < 0 || static_cast<std::size_t>(value) > kMostShared) {
    return set_last_error(cudaErrorInvalidValue);
  }
  shared_limits[kernel] = static_cast<std::size_t>(value);
  return cudaSuccess;
}

cudaError_t set_last_error(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

}  // namespace emulator

// For the tests, through ctypes.
extern "C" {
void emulator_set_seed(std::uint64_t seed) { emulator::set_seed(seed); }
const char* emulator_message() { return emulator::message(); }
void emulator_clear() {
  emulator::clear_message();
  last_error = cudaSuccess;
}
}
