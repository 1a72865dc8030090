#include "cpu/normalize.h"

namespace fastcount::cpu {

ColourTable colour_table(const std::array<float, 3>& mean, const std::array<float, 3>& deviation) {
  ColourTable table;
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t value = 0; value < 256; ++value) {
      table[c][value] = (static_cast<float>(value) / 255.0F - mean[c]) / deviation[c];
    }
  }
  return table;
}

void normalize_row(const std::uint8_t* rgb, std::int64_t pixels, const ColourTable& table,
                   float* out, std::int64_t plane) {
  for (std::int64_t x = 0; x < pixels; ++x) {
    out[x] = table[0][rgb[3 * x]];
    out[x + plane] = table[1][rgb[3 * x + 1]];
    out[x + 2 * plane] = table[2][rgb[3 * x + 2]];
  }
}

}  // namespace fastcount::cpu
