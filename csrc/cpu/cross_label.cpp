#include "cpu/cross_label.h"

#include "math/density_map.h"

namespace fastcount::cpu {

void draw_crosses(const double* xy, std::int64_t count, std::int64_t height, std::int64_t width,
                  float* map) {
  for (std::int64_t i = 0; i < count; ++i) {
    if (!inside_axis(xy[2 * i], width) || !inside_axis(xy[2 * i + 1], height)) continue;
    const std::int64_t x = nearest_pixel(xy[2 * i], width);
    const std::int64_t y = nearest_pixel(xy[2 * i + 1], height);
    float* centre = map + y * width + x;
    centre[0] = 1.0F;
    if (x > 0) centre[-1] = 1.0F;
    if (x < width - 1) centre[1] = 1.0F;
    if (y > 0) centre[-width] = 1.0F;
    if (y < height - 1) centre[width] = 1.0F;
  }
}

}  // namespace fastcount::cpu
