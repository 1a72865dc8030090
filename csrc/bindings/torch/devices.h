// Whether an operator's tensors lie on one device. Dispatch looks at one of them only: the others'
// addresses would be read on a device that does not have them.
#pragma once

#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include <string>

namespace fastcount {

inline std::string device_name(const torch::stable::Tensor& tensor) {
  return tensor.is_cpu() ? "cpu" : "cuda:" + std::to_string(tensor.get_device_index());
}

inline void check_same_device(const torch::stable::Tensor& tensor, const char* name,
                              const torch::stable::Tensor& other, const char* other_name) {
  const bool same = tensor.is_cpu() == other.is_cpu() &&
                    (tensor.is_cpu() || tensor.get_device_index() == other.get_device_index());
  STD_TORCH_CHECK(same, name, " is on ", device_name(tensor), ", ", other_name, " on ",
                  device_name(other), ": move them to one device");
}

}  // namespace fastcount
