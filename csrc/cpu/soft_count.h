// Softened peaks, the detection map made of them and its sum, and their gradient, on a CPU.
//
// Floor: forward 8 HW bytes (read and write; 4 HW where only the sum is wanted), backward 12 HW.
// Work: 2 k comparisons, one or two exponentials a pixel; backward, a gradient is handed to the row
// of its window that has the greatest value, and along that row to the pixel: 2 k steps more, where
// going through the window would take k * k. For k = 3 about 54 operations a pixel forward and 90
// backward, as they are written.
//
// Reached, forward and backward of eight maps of 256 x 256 float32 noise on two cores of a 2.4 GHz
// AMD EPYC with AVX2 (2026-11-29, the mean of two runs; copying 17.4 GB/s, a float32 matrix
// product 121 GFLOP/s), autograd included: 4.3 ms, 14 % of copying and 29 % of the product's
// operations. The spatial softmax alone: 4.2 ms, 14 % and 13 %.
//
// Rows are independent work. A row of the gradient gathers from the windows that reach it, always
// in the same order, so the bits do not depend on how rows are divided between threads.
#pragma once

#include <cstdint>
#include <vector>

#include "math/soft_count.h"

namespace fastcount::cpu {

struct MapShape {
  std::int64_t height;
  std::int64_t width;
  std::int64_t radius;  // of the window
};

template <typename T>
struct SoftCountScratch {
  std::vector<T> line;
  std::vector<T> greatest;
  std::vector<T> own;
  std::vector<T> passed;
  std::vector<T> row_maxima;
  std::vector<T> handed;
  std::vector<const T*> rows;
};

// out[row] = soft_peak of each pixel of rows first .. last - 1.
template <typename T>
void soft_peak_rows(const T* map, const MapShape& shape, T beta, std::int64_t first,
                    std::int64_t last, SoftCountScratch<T>& scratch, T* out);

// The same through soft_detection; sums[row] receives each row's sum.
template <typename T>
void soft_count_rows(const T* map, const MapShape& shape, const SoftCountRule<T>& rule,
                     std::int64_t first, std::int64_t last, SoftCountScratch<T>& scratch, T* out,
                     double* sums);

// Rows first .. last - 1 of the gradient by `map`. `grad`: by each output pixel, or null for 0.
// `detect`: whether the output went through soft_detection; then `grad_sum` is added to each.
template <typename T>
void soft_count_gradient_rows(const T* map, const MapShape& shape, const SoftCountRule<T>& rule,
                              bool detect, const T* grad, T grad_sum, std::int64_t first,
                              std::int64_t last, SoftCountScratch<T>& scratch, T* out);

}  // namespace fastcount::cpu
