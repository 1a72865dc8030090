// Crosses of five pixels on a map of zeros, on a CPU.
//
// Floor: 4 HW bytes of zeros, and for each point 16 bytes read and 5 scattered writes.
// Reached by benchmarks/bench_cross_label.py on two cores of an AMD EPYC with AVX2 (2026-11-25; in
// the same run copying 19.4 GB/s): 0.27 ms, 61 % of copying.
#pragma once

#include <cstdint>

namespace fastcount::cpu {

// Writes 1 on the pixel of each point and its four neighbours, as far as they lie on the map.
void draw_crosses(const double* xy, std::int64_t count, std::int64_t height, std::int64_t width,
                  float* map);

}  // namespace fastcount::cpu
