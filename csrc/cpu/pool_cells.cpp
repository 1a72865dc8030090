#include "cpu/pool_cells.h"

#include <algorithm>
#include <vector>

#include "cpu/multiversion.h"

namespace fastcount::cpu {
namespace {

FASTCOUNT_MULTIVERSION
void add_row(const float* __restrict row, std::int64_t cols, double* __restrict sums) {
  for (std::int64_t i = 0; i < cols; ++i) sums[i] += static_cast<double>(row[i]);
}

FASTCOUNT_MULTIVERSION
void add_row(const double* __restrict row, std::int64_t cols, double* __restrict sums) {
  for (std::int64_t i = 0; i < cols; ++i) sums[i] += row[i];
}

template <typename T>
void pool(const T* fine, std::int64_t rows, std::int64_t cols, std::int64_t factor,
          std::int64_t first_row, std::int64_t last_row, T* coarse) {
  std::vector<double> sums(static_cast<std::size_t>(cols));  // down the columns
  const std::int64_t coarse_cols = (cols - 1) / factor + 1;
  for (std::int64_t row = first_row; row < last_row; ++row) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (std::int64_t r = row * factor; r < std::min((row + 1) * factor, rows); ++r) {
      add_row(fine + r * cols, cols, sums.data());
    }
    T* out = coarse + row * coarse_cols;
    const double* next = sums.data();
    const double* end = next + cols;
    for (std::int64_t col = 0; col < coarse_cols; ++col) {
      const double* last = next + std::min<std::int64_t>(factor, end - next);
      double total = 0.0;
      while (next < last) total += *next++;
      out[col] = static_cast<T>(total);
    }
  }
}

}  // namespace

void pool_cells(const float* fine, std::int64_t rows, std::int64_t cols, std::int64_t factor,
                std::int64_t first_row, std::int64_t last_row, float* coarse) {
  pool(fine, rows, cols, factor, first_row, last_row, coarse);
}

void pool_cells(const double* fine, std::int64_t rows, std::int64_t cols, std::int64_t factor,
                std::int64_t first_row, std::int64_t last_row, double* coarse) {
  pool(fine, rows, cols, factor, first_row, last_row, coarse);
}

}  // namespace fastcount::cpu
