// What every CUDA binding needs: the stream, the device, number types and errors.
//
//   FASTCOUNT_CUDA_LIBRARY(m) { m.impl("name", TORCH_BOX(&name)); }
//
// With FASTCOUNT_EMULATOR the same bindings serve CPU tensors through the emulator, in a library
// that the tests load in place of _C.
#pragma once

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>
#include <torch/headeronly/util/shim_utils.h>

#include <cstdint>

#include "cuda/number.h"

#if defined(FASTCOUNT_EMULATOR)
#define FASTCOUNT_CUDA_LIBRARY(m) STABLE_TORCH_LIBRARY_IMPL(fastcount, CPU, m)
#else
#define FASTCOUNT_CUDA_LIBRARY(m) STABLE_TORCH_LIBRARY_IMPL(fastcount, CUDA, m)
#endif

namespace fastcount {

// Makes the tensor's device the current one and knows torch's current stream on it. Make one before
// the first allocation or launch.
class CudaContext {
 public:
#if defined(FASTCOUNT_EMULATOR)
  explicit CudaContext(const torch::stable::Tensor&) {}
  cudaStream_t stream() const { return nullptr; }
#else
  explicit CudaContext(const torch::stable::Tensor& tensor)
      : device_(tensor.get_device_index()), guard_(device_) {}
  cudaStream_t stream() const {
    void* stream = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device_, &stream));
    return static_cast<cudaStream_t>(stream);
  }

 private:
  std::int32_t device_;
  torch::stable::accelerator::DeviceGuard guard_;
#endif
};

inline void check_cuda(cudaError_t error, const char* what) {
  STD_TORCH_CHECK(error == cudaSuccess, what, ": ", cudaGetErrorString(error));
}

// Contiguous, and on 16 bytes for the kernels' widest accesses: a view may begin anywhere.
inline torch::stable::Tensor aligned(const torch::stable::Tensor& tensor) {
  const torch::stable::Tensor held = torch::stable::contiguous(tensor);
  const bool on_16 = reinterpret_cast<std::uintptr_t>(held.const_data_ptr()) % 16 == 0;
  return on_16 ? held : torch::stable::clone(held);
}

// The kernels' name for a tensor's type; an error that names the argument for any other type.
inline cuda::Number number_of(const torch::stable::Tensor& tensor, const char* name) {
  using torch::headeronly::ScalarType;
  switch (tensor.scalar_type()) {
    case ScalarType::Float:
      return cuda::Number::kFloat32;
    case ScalarType::Double:
      return cuda::Number::kFloat64;
    case ScalarType::Half:
      return cuda::Number::kFloat16;
    case ScalarType::BFloat16:
      return cuda::Number::kBfloat16;
    default:
      break;
  }
  STD_TORCH_CHECK(false, name, " must be float32, float64, float16 or bfloat16");
  return cuda::Number::kFloat32;
}

}  // namespace fastcount
