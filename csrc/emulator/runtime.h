// The few runtime calls that .cu files make, with CUDA's names and numbers. There is one device,
// and every stream is done as soon as the call returns.
#pragma once

#include <cstddef>

#include "emulator/scheduler.h"

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorLaunchFailure = 719,
};
enum cudaMemcpyKind {
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost = 2,
  cudaMemcpyDeviceToDevice = 3
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount = 16 };
using cudaStream_t = struct CUstream_st*;

cudaError_t cudaGetLastError();  // also forgets it
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream);
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);

namespace emulator {

// Refuses what the least of sm_80, sm_90 and sm_100 would refuse.
cudaError_t check_launch(const void* kernel, dim3 grid, dim3 block, std::size_t shared_bytes);
cudaError_t set_attribute(const void* kernel, cudaFuncAttribute attribute, int value);
cudaError_t set_last_error(cudaError_t error);

}  // namespace emulator
