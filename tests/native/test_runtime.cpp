// The kernels of the torch-free runtime from C++ alone: windows against the whole picture, boxes
// against all pairs, cores against plain copies. Sizes at which an index could leave its array.
#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "cpu/nms.h"
#include "cpu/normalize.h"
#include "cpu/resample.h"
#include "cpu/stitch.h"
#include "expect.h"
#include "math/resample.h"

namespace {

using fastcount::Box;
using fastcount::cpu::axis_weights;
using fastcount::cpu::AxisWeights;

std::vector<std::uint8_t> picture(std::int64_t height, std::int64_t width) {
  std::mt19937 random(static_cast<unsigned>(height * 1000 + width));
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(3 * height * width));
  for (std::uint8_t& value : pixels) value = static_cast<std::uint8_t>(random() & 255);
  return pixels;
}

// Rows top .. bottom - 1 and columns left .. right - 1 of the scaled picture.
std::vector<std::uint8_t> scaled(const std::vector<std::uint8_t>& pixels, std::int64_t height,
                                 std::int64_t width, std::int64_t to_height, std::int64_t to_width,
                                 std::int64_t top, std::int64_t bottom, std::int64_t left,
                                 std::int64_t right, std::int64_t strip) {
  const AxisWeights rows = axis_weights(height, to_height, top, bottom);
  const AxisWeights columns = axis_weights(width, to_width, left, right);
  const std::int64_t stride = 3 * (right - left);
  std::vector<std::uint8_t> out(static_cast<std::size_t>((bottom - top) * stride));
  fastcount::cpu::ScaleScratch scratch;
  for (std::int64_t y = 0; y < bottom - top; y += strip) {
    fastcount::cpu::scale_strip(pixels.data(), width, rows, columns, y,
                                std::min(y + strip, bottom - top), scratch, out.data() + y * stride,
                                stride);
  }
  return out;
}

void weights_share_out_a_pixel() {
  for (const std::int64_t length : {1, 2, 3, 97, 5000}) {
    for (const std::int64_t to : {1, 2, 5, 96, 97, 1300}) {
      const AxisWeights axis = axis_weights(length, to, 0, to);
      EXPECT(axis.begin >= 0 && axis.end <= length);
      for (std::int64_t x = 0; x < to; ++x) {
        const auto at = static_cast<std::size_t>(x);
        EXPECT(axis.count[at] >= 1 && axis.count[at] <= axis.most);
        EXPECT(axis.first[at] >= axis.begin && axis.first[at] + axis.count[at] <= axis.end);
        std::int64_t sum = 0;
        for (std::int32_t i = 0; i < axis.count[at]; ++i) sum += axis.weights[at * axis.most + i];
        const std::int64_t one = std::int64_t{1} << fastcount::kWeightBits;
        EXPECT(std::abs(sum - one) <= axis.count[at]);
      }
    }
  }
}

void windows_are_parts_of_the_whole() {
  const std::int64_t sizes[][4] = {
      {1, 1, 5, 3}, {40, 1, 3, 7}, {33, 70, 90, 21}, {64, 64, 64, 200}};
  for (const auto& [height, width, to_height, to_width] : sizes) {
    const auto pixels = picture(height, width);
    const auto whole =
        scaled(pixels, height, width, to_height, to_width, 0, to_height, 0, to_width, to_height);
    const std::int64_t top = to_height / 3, left = to_width / 2;
    const auto part =
        scaled(pixels, height, width, to_height, to_width, top, to_height, left, to_width, 4);
    const std::int64_t across = 3 * (to_width - left);
    for (std::int64_t y = top; y < to_height; ++y) {
      const auto* expected = whole.data() + 3 * (y * to_width + left);
      EXPECT(std::equal(expected, expected + across, part.data() + (y - top) * across));
    }
  }
  const auto same = picture(20, 30);
  EXPECT(scaled(same, 20, 30, 20, 30, 0, 20, 0, 30, 7) == same);
}

void boxes_agree_with_all_pairs() {
  std::mt19937 random(5);
  std::uniform_real_distribution<float> place(-300.0F, 300.0F), side(-1.0F, 40.0F);
  std::vector<Box<float>> boxes(600);
  std::vector<float> scores(boxes.size());
  std::vector<std::int64_t> labels(boxes.size());
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    const float x = place(random), y = place(random);
    boxes[i] = {x, y, x + side(random), y + side(random)};
    if (i % 70 == 0) boxes[i] = {-300.0F, -300.0F, 300.0F, 300.0F};
    scores[i] = static_cast<float>(random() % 50);
    labels[i] = static_cast<std::int64_t>(random() % 3);
  }
  std::vector<std::int64_t> order(boxes.size()), expected;
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int64_t a, std::int64_t b) { return scores[a] > scores[b]; });
  for (const std::int64_t i : order) {
    const bool gone = std::any_of(expected.begin(), expected.end(), [&](std::int64_t j) {
      return labels[i] == labels[j] &&
             fastcount::box_overlap(boxes[j], fastcount::box_area(boxes[j]), boxes[i],
                                    fastcount::box_area(boxes[i])) > 0.2;
    });
    if (!gone) expected.push_back(i);
  }
  const auto count = static_cast<std::int64_t>(boxes.size());
  EXPECT(fastcount::cpu::nms(boxes.data(), scores.data(), labels.data(), count, 0.2) == expected);
  EXPECT(expected.size() < boxes.size());
  EXPECT(fastcount::cpu::nms(boxes.data(), scores.data(), labels.data(), 0, 0.2).empty());
}

void cores_are_copied_and_summed() {
  std::vector<float> tile(7 * 19), map(10 * 11, -1.0F);
  for (std::size_t i = 0; i < tile.size(); ++i) tile[i] = static_cast<float>(i);
  const auto sums =
      fastcount::cpu::place_core(tile.data(), 7, 19, 2, 7, 8, 19, map.data() + 5 * 11, 11);
  double kept = 0.0;
  for (std::int64_t y = 2; y < 7; ++y) {
    for (std::int64_t x = 8; x < 19; ++x) {
      EXPECT(map[(y - 2 + 5) * 11 + x - 8] == tile[y * 19 + x]);
      kept += tile[y * 19 + x];
    }
  }
  EXPECT(sums.kept == kept);
  EXPECT(sums.found == 133.0 * 132.0 / 2.0);
}

void colours_are_normalised() {
  const auto table = fastcount::cpu::colour_table({0.5F, 0.25F, 0.0F}, {0.5F, 1.0F, 2.0F});
  const std::uint8_t pixels[] = {0, 255, 51, 255, 0, 102};
  float out[6];
  fastcount::cpu::normalize_row(pixels, 2, table, out, 2);
  const float expected[] = {-1.0F, 1.0F, 0.75F, -0.25F, 0.1F, 0.2F};
  EXPECT(std::equal(out, out + 6, expected));
}

}  // namespace

int main() {
  weights_share_out_a_pixel();
  windows_are_parts_of_the_whole();
  boxes_agree_with_all_pairs();
  cores_are_copied_and_summed();
  colours_are_normalised();
  return failures();
}
