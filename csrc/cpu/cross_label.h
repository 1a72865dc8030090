// Crosses of five pixels on a map of zeros, on a CPU.
//
// Floor: 4 HW bytes of zeros, and for each point 16 bytes read and 5 scattered writes.
// benchmarks/bench_cross_label.py prints which share of copying that reaches; no measurement on a
// quiet machine yet.
#pragma once

#include <cstdint>

namespace fastcount::cpu {

// Writes 1 on the pixel of each point and its four neighbours, as far as they lie on the map.
void draw_crosses(const double* xy, std::int64_t count, std::int64_t height, std::int64_t width,
                  float* map);

}  // namespace fastcount::cpu
