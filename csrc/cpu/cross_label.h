// Crosses of five pixels on a map of zeros, on a CPU. Floor: 4 HW bytes of zeros, 5 writes a point.
#pragma once

#include <cstdint>

namespace fastcount::cpu {

// Writes 1 on the pixel of each point and its four neighbours, as far as they lie on the map.
void draw_crosses(const double* xy, std::int64_t count, std::int64_t height, std::int64_t width,
                  float* map);

}  // namespace fastcount::cpu
