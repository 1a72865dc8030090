// A map at a coarser stride: its cells are sums of `factor` x `factor` finer ones.
//
// Floor: every fine cell read once, every coarse one written once, one addition a fine cell.
#pragma once

#include <cstdint>

namespace fastcount::cpu {

// Rows first_row .. last_row - 1 of `coarse`, [ceil(rows / factor), ceil(cols / factor)], from all
// of `fine`, [rows, cols]. Adds in float64.
void pool_cells(const float* fine, std::int64_t rows, std::int64_t cols, std::int64_t factor,
                std::int64_t first_row, std::int64_t last_row, float* coarse);
void pool_cells(const double* fine, std::int64_t rows, std::int64_t cols, std::int64_t factor,
                std::int64_t first_row, std::int64_t last_row, double* coarse);

}  // namespace fastcount::cpu
