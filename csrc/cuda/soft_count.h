// Softened peaks, the detection map made of them and its sum, and their gradient, on a GPU.
#pragma once

#include <cstdint>

#include "cuda/number.h"
#include "math/soft_count.h"

namespace fastcount::cuda {

struct SoftMaps {
  const void* heatmap;  // [maps, height, width]
  Number number;
  std::int64_t maps;
  std::int64_t height;
  std::int64_t width;
  std::int64_t radius;  // of the window
  bool detect;          // through the sigmoid too, or softened only
  double beta;
  double steepness;
  double threshold;

  std::int64_t tiles() const;  // of one map; each leaves one sum

  template <typename Value>
  SoftCountRule<Value> rule() const {
    return {static_cast<Value>(beta), static_cast<Value>(steepness), static_cast<Value>(threshold)};
  }
};

// out [maps, height, width]. With `sums` [maps], of the same type, also each map's sum; then
// `partial` has room for maps * tiles() doubles.
cudaError_t soft_forward(const SoftMaps& maps, void* out, double* partial, void* sums,
                         cudaStream_t stream);

// out = the gradient by the heat map. `grad`, by each pixel of the output, and `grad_sum`, by each
// map's sum, may be null for 0. The windows' radius decides which way is taken: where
// soft_backward_scratch() is not 0, `scratch` has that many bytes, on 16.
std::int64_t soft_backward_scratch(const SoftMaps& maps);
cudaError_t soft_backward(const SoftMaps& maps, const void* grad, const void* grad_sum,
                          void* scratch, void* out, cudaStream_t stream);

}  // namespace fastcount::cuda
