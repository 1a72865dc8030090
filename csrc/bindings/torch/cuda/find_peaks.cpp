#include "cuda/find_peaks.h"

#include <array>
#include <limits>
#include <optional>
#include <tuple>

#include "bindings/torch/cuda/context.h"
#include "bindings/torch/maps.h"

namespace fastcount {
namespace {

using cuda::PeakMaps;
using cuda::PeakRecord;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Contiguous. What is too large is refused before it is copied.
Tensor held_maps(const Tensor& scores) {
  STD_TORCH_CHECK(scores.dim() == 4, "scores must have shape (B, C, H, W)");
  check_pixels(scores);
  return torch::stable::contiguous(scores);
}

// `scores` are held_maps.
PeakMaps check_maps(const Tensor& scores, std::int64_t kernel_size, double threshold, bool smooth,
                    std::int64_t max_peaks) {
  check_kernel_size(kernel_size);
  STD_TORCH_CHECK(threshold == threshold, "threshold must not be NaN");
  STD_TORCH_CHECK(max_peaks >= 1, "max_peaks must be at least 1, got ", max_peaks);
  const std::int64_t maps = scores.size(0) * scores.size(1);
  STD_TORCH_CHECK(maps <= std::numeric_limits<std::int32_t>::max(), "too many maps: ", maps);
  return {scores.const_data_ptr(),
          number_of(scores, "scores"),
          maps,
          scores.size(2),
          scores.size(3),
          kernel_size / 2,
          threshold,
          smooth};
}

// The peaks marked and numbered, in memory that lives as long as this.
struct Numbered {
  Tensor bits;
  Tensor counts;
  Tensor starts;
  Tensor kept_starts;
  Tensor totals;

  Numbered(const Tensor& scores, const PeakMaps& maps, std::int64_t most, cudaStream_t stream)
      : bits(torch::stable::new_empty(scores, {maps.maps * maps.words()}, ScalarType::Int)),
        counts(torch::stable::new_empty(scores, {maps.maps * maps.segments()}, ScalarType::Int)),
        starts(
            torch::stable::new_empty(scores, {maps.maps * maps.segments() + 1}, ScalarType::Long)),
        kept_starts(torch::stable::new_empty(scores, {maps.maps + 1}, ScalarType::Long)),
        totals(torch::stable::new_empty(scores, {2}, ScalarType::Long)) {
    check_cuda(cuda::mark_peaks(maps, marks(), counts.mutable_data_ptr<std::int32_t>(), stream),
               "find_peaks");
    check_cuda(cuda::number_peaks(maps, most, counts.const_data_ptr<std::int32_t>(),
                                  starts.mutable_data_ptr<std::int64_t>(),
                                  kept_starts.mutable_data_ptr<std::int64_t>(),
                                  totals.mutable_data_ptr<std::int64_t>(), stream),
               "find_peaks");
  }

  std::uint32_t* marks() const { return static_cast<std::uint32_t*>(bits.mutable_data_ptr()); }
};

// The sorted list of up to `capacity` peaks.
struct Listed {
  Tensor room;
  const PeakRecord* sorted = nullptr;

  Listed(const Tensor& scores, const PeakMaps& maps, const Numbered& numbered,
         std::int64_t capacity, cudaStream_t stream)
      : room(torch::stable::new_empty(scores, {4 * capacity}, ScalarType::Long)) {
    auto* peaks = static_cast<PeakRecord*>(room.mutable_data_ptr());
    check_cuda(
        cuda::list_peaks(maps, numbered.marks(), numbered.starts.const_data_ptr<std::int64_t>(),
                         capacity, peaks, peaks + capacity, &sorted, stream),
        "find_peaks");
  }
};

// How many peaks there are and how many are kept. Waits for the device: the one place that does.
std::array<std::int64_t, 2> read_totals(const Numbered& numbered, cudaStream_t stream) {
  std::array<std::int64_t, 2> totals{};
  check_cuda(cudaMemcpyAsync(totals.data(), numbered.totals.const_data_ptr(), sizeof(totals),
                             cudaMemcpyDeviceToHost, stream),
             "find_peaks");
  check_cuda(cudaStreamSynchronize(stream), "find_peaks");
  return totals;
}

std::tuple<Tensor, Tensor, Tensor, Tensor> find_peaks(const Tensor& scores,
                                                      std::int64_t kernel_size, double threshold,
                                                      bool smooth,
                                                      std::optional<std::int64_t> max_peaks) {
  const std::int64_t most = max_peaks.value_or(std::numeric_limits<std::int64_t>::max());
  const CudaContext context(scores);
  const Tensor held = held_maps(scores);
  const PeakMaps maps = check_maps(held, kernel_size, threshold, smooth, most);
  const auto results = [&](std::int64_t kept) {
    return std::make_tuple(torch::stable::new_empty(scores, {kept, 2}, ScalarType::Float),
                           torch::stable::new_empty(scores, {kept}),
                           torch::stable::new_empty(scores, {kept}, ScalarType::Long),
                           torch::stable::new_empty(scores, {kept}, ScalarType::Long));
  };
  if (held.numel() == 0) return results(0);
  const cudaStream_t stream = context.stream();
  const Numbered numbered(held, maps, most, stream);
  const auto* starts = numbered.starts.const_data_ptr<std::int64_t>();
  const auto* kept_starts = numbered.kept_starts.const_data_ptr<std::int64_t>();
  const auto [total, kept] = read_totals(numbered, stream);
  const Listed listed(held, maps, numbered, total, stream);
  auto [points, values, batch, channel] = results(kept);
  check_cuda(cuda::write_peaks(maps, listed.sorted, total, starts, kept_starts, held.size(1),
                               points.mutable_data_ptr<float>(), values.mutable_data_ptr(),
                               batch.mutable_data_ptr<std::int64_t>(),
                               channel.mutable_data_ptr<std::int64_t>(), stream),
             "find_peaks");
  return {points, values, batch, channel};
}

std::tuple<Tensor, Tensor, Tensor> find_peaks_padded(const Tensor& scores, std::int64_t kernel_size,
                                                     double threshold, bool smooth,
                                                     std::int64_t max_peaks) {
  const CudaContext context(scores);
  const Tensor held = held_maps(scores);
  const PeakMaps maps = check_maps(held, kernel_size, threshold, smooth, max_peaks);
  const std::int64_t images = held.size(0);
  const std::int64_t channels = held.size(1);
  Tensor points =
      torch::stable::new_empty(scores, {images, channels, max_peaks, 2}, ScalarType::Float);
  Tensor values = torch::stable::new_empty(scores, {images, channels, max_peaks});
  Tensor valid = torch::stable::new_empty(scores, {images, channels}, ScalarType::Long);
  if (held.numel() == 0) {
    torch::stable::fill_(points, -1.0);
    torch::stable::zero_(values);
    torch::stable::zero_(valid);
    return {points, values, valid};
  }
  const cudaStream_t stream = context.stream();
  const Numbered numbered(held, maps, max_peaks, stream);
  const auto* starts = numbered.starts.const_data_ptr<std::int64_t>();
  const std::int64_t capacity = maps.maps * maps.most_peaks();
  if (max_peaks <= cuda::kMostTop) {
    Tensor room = torch::stable::new_empty(scores, {2 * capacity}, ScalarType::Long);
    auto* listed = static_cast<PeakRecord*>(room.mutable_data_ptr());
    check_cuda(cuda::collect_peaks(maps, numbered.marks(), starts, capacity, listed, stream),
               "find_peaks_padded");
    check_cuda(
        cuda::top_peaks(maps, listed, starts, max_peaks, points.mutable_data_ptr<float>(),
                        values.mutable_data_ptr(), valid.mutable_data_ptr<std::int64_t>(), stream),
        "find_peaks_padded");
    return {points, values, valid};
  }
  const Listed listed(held, maps, numbered, capacity, stream);
  check_cuda(cuda::pad_peaks(maps, listed.sorted, starts,
                             numbered.kept_starts.const_data_ptr<std::int64_t>(), max_peaks,
                             points.mutable_data_ptr<float>(), values.mutable_data_ptr(),
                             valid.mutable_data_ptr<std::int64_t>(), stream),
             "find_peaks_padded");
  return {points, values, valid};
}

}  // namespace

FASTCOUNT_CUDA_LIBRARY(m) {
  m.impl("find_peaks", TORCH_BOX(&find_peaks));
  m.impl("find_peaks_padded", TORCH_BOX(&find_peaks_padded));
}

}  // namespace fastcount
