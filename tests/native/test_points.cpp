// The torch-free library used from C++ alone: crosses on the CPU and on the emulated GPU, the
// distances of neighbours against all pairs, and grids that no GPU takes.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "cpu/cross_label.h"
#include "cuda/cross_label.h"
#include "cuda/knn_distance.h"
#include "cuda/launch.h"
#include "expect.h"

namespace {

std::vector<double> scattered(std::int64_t count) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> anywhere(-3.0, 40.0);
  std::vector<double> xy(static_cast<std::size_t>(2 * count));
  for (double& value : xy) value = anywhere(random);
  return xy;
}

double mean_of_nearest(const std::vector<double>& xy, std::int64_t begin, std::int64_t end,
                       std::int64_t point, std::int64_t k) {
  std::vector<double> distances;
  for (std::int64_t other = begin; other < end; ++other) {
    if (other == point) continue;
    distances.push_back(
        std::hypot(xy[2 * other] - xy[2 * point], xy[2 * other + 1] - xy[2 * point + 1]));
  }
  std::sort(distances.begin(), distances.end());
  distances.resize(std::min(distances.size(), static_cast<std::size_t>(k)));
  double sum = 0.0;
  for (const double each : distances) sum += each;
  return distances.empty() ? INFINITY : sum / static_cast<double>(distances.size());
}

void crosses_agree() {
  constexpr std::int64_t kHeight = 31, kWidth = 37;
  const std::vector<double> xy = scattered(40);
  const std::int64_t offsets[] = {0, 15, 15, 40};
  std::vector<float> expected(3 * kHeight * kWidth, 0.0F);
  for (int set = 0; set < 3; ++set) {
    fastcount::cpu::draw_crosses(xy.data() + 2 * offsets[set], offsets[set + 1] - offsets[set],
                                 kHeight, kWidth, expected.data() + set * kHeight * kWidth);
  }
  std::vector<float> drawn(expected.size(), -1.0F);
  EXPECT(fastcount::cuda::cross_label(xy.data(), offsets, 3, kHeight, kWidth, drawn.data(),
                                      nullptr) == cudaSuccess);
  EXPECT(drawn == expected);
  EXPECT(std::count(expected.begin(), expected.end(), 1.0F) > 100);
}

void distances_agree() {
  const std::vector<double> xy = scattered(300);
  const std::int64_t offsets[] = {0, 299, 300};
  for (const std::int64_t k : {1, 4, 20}) {
    std::vector<double> scratch(
        static_cast<std::size_t>(fastcount::cuda::knn_distance_scratch(300, k)));
    std::vector<double> distance(300, -1.0);
    EXPECT(fastcount::cuda::knn_distance(xy.data(), offsets, 2, k, scratch.data(), distance.data(),
                                         nullptr) == cudaSuccess);
    for (std::int64_t i = 0; i < 299; ++i) {
      const double expected = mean_of_nearest(xy, 0, 299, i, k);
      EXPECT(std::abs(distance[static_cast<std::size_t>(i)] - expected) < 1e-9 * expected);
    }
    EXPECT(distance[299] == INFINITY);
  }
}

// Cut to 32 bits the number of blocks might be small, and the work half done without a word.
void grids_too_large_are_refused() {
  constexpr std::int64_t kMost = INT32_MAX;
  EXPECT(fastcount::cuda::blocks_across(kMost) == static_cast<unsigned>(kMost));
  EXPECT(fastcount::cuda::blocks_across(kMost + 1) == UINT32_MAX);
  EXPECT(fastcount::cuda::blocks_across((std::int64_t{1} << 32) + 5) == UINT32_MAX);
  EXPECT(fastcount::cuda::blocks_across(kMost * 256 + 1, 256) == UINT32_MAX);
}

}  // namespace

int main() {
  crosses_agree();
  distances_agree();
  grids_too_large_are_refused();
  return failures();
}
