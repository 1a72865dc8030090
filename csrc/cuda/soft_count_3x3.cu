// Floor: forward 8 HW bytes in float32 (read and write), backward 12 HW (both read, one
// written). Work: 5 comparisons and two exponentials a pixel forward; backward 14 comparisons to
// find the window's maximum and where it is, two exponentials and 8 comparisons to gather. As
// compiled for sm_90 the loops hold 40 and 88 instructions a pixel. On an H200, 64 maps of 1024 x
// 1024, when they held 57 and 118: forward 0.175 ms, 73 % of what a copy moves (softened only:
// 0.160 ms, 80 %), backward 0.426 ms, 45 %. Not measured on a GPU since.
//
// Forward a warp takes 32 columns of accesses (warp_rows.h). Backward, where a pixel gathers from
// its neighbours what they pass to their maximum, the outer two columns only serve as neighbours.
// A row hands out what it passes to the rows above and below and to itself as soon as it is known,
// and is loaded one step ahead: 80 registers a thread in float32, three blocks a multiprocessor. A
// pixel gathers in reading order: no atomics, the same bits every time.
#include "cuda/soft_count_3x3.h"

#include <limits>

#include "cuda/warp_rows.h"
#include "math/soft_count.h"

namespace fastcount::cuda {
namespace {

constexpr int kBackwardLanes = 30;

template <typename T, bool kAligned>
__global__ void __launch_bounds__(kRowThreads)
    forward(const T* __restrict__ heatmap, std::int64_t count, MapShape shape,
            SoftCountRule<compute_t<T>> rule, bool detect, T* __restrict__ out, double* partial) {
  using Value = compute_t<T>;
  constexpr int kCount = kWide<T>;
  const Walk walk = Walk::of_warp(shape, 32 * kCount);
  if (walk.map >= count) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int x = walk.left + lane * kCount;
  const RowReader<T, kAligned, true> reader(heatmap, shape, walk, x);
  T* to = out + walk.map * shape.height * shape.width;
  const Value none = -std::numeric_limits<Value>::infinity();
  const int top = walk.top;
  const int bottom = min(top + kRowsOfWalk, shape.height);
  LoadedPart<T> soon = reader.load(top + 1);
  LoadedPart<T> later = reader.load(top + 2);
  Value above[kCount];
  Value middle[kCount];
  Value below[kCount];
  greatest_of_three(reader.spread(reader.load(top - 1), top - 1, none), above);
  RowPart<Value, kCount> here = reader.spread(reader.load(top), top, none);
  greatest_of_three(here, middle);
  double sum = 0.0;
#pragma unroll 2
  for (int y = top; y < bottom; ++y) {
    const RowPart<Value, kCount> next = reader.spread(soon, y + 1, none);
    soon = later;
    later = reader.load(y + 3);
    greatest_of_three(next, below);
    Wide<T> results;
    Value row_sum(0);
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      const Value greatest = greater(greater(above[k], middle[k]), below[k]);
      const Value soft = soft_peak(here.at[k + 1], greatest, rule.beta);
      const Value result = detect ? soft_detection(soft, rule) : soft;
      results.at[k] = from_compute<T>(result);
      if (kAligned || x + k < shape.width) row_sum += result;
    }
    if (!kAligned || x < shape.width) sum += static_cast<double>(row_sum);
    write_part<T, kAligned>(to, y, x, shape.width, results);
    here = next;
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      above[k] = middle[k];
      middle[k] = below[k];
    }
  }
  if (partial == nullptr) return;  // all threads alike
  for (int step = 16; step > 0; step /= 2) sum += __shfl_down_sync(0xFFFFFFFFu, sum, step);
  if (lane != 0) return;
  partial[static_cast<std::int64_t>(blockIdx.x) * kRowWarps + threadIdx.x / 32] = sum;
}

// The first greatest of some pixels in reading order: its value, and a number for where it is.
template <typename Value>
struct Greatest {
  Value value;
  int place;

  __device__ __forceinline__ void offer(Value other, int where) {
    const bool wins = other > value;
    value = wins ? other : value;
    place = wins ? where : place;
  }
};

// Of each three neighbours of a row, places `row_place` and the two after it from the left. NaN is
// passed over; where there is nothing but -inf, nobody is asked for the place.
template <typename Value, int kCount>
__device__ __forceinline__ void first_of_three(const RowPart<Value, kCount>& part, int row_place,
                                               Greatest<Value> (&first)[kCount]) {
  const Value none = -std::numeric_limits<Value>::infinity();
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    first[k] = {greater(part.at[k], none), row_place};
    first[k].offer(part.at[k + 1], row_place + 1);
    first[k].offer(part.at[k + 2], row_place + 2);
  }
}

// What the pixels of a row pass to the greatest of their windows, and its place: the lane's own and
// one more at either end.
template <typename Value, int kCount>
struct PassedPart {
  Value passed[kCount + 2];
  int place[kCount + 2];
};

// Adds to the pixels of the row at `row_place` what those `dx` to the right of them, in the same
// row or the one above or below, pass to them.
template <typename Value, int kCount>
__device__ __forceinline__ void gather(const PassedPart<Value, kCount>& from, int dx, int row_place,
                                       Value (&sums)[kCount]) {
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    // Seen from there, the gathering pixel lies the other way.
    if (from.place[k + 1 + dx] == row_place + 1 - dx) sums[k] += from.passed[k + 1 + dx];
  }
}

// A row y is told from its neighbours by (y - top + 1) % 3, which is known when the loop is
// unrolled: it is where the row's own are kept, and thrice it the row's first place.
template <typename T, bool kAligned, bool kByPixel>
__global__ void __launch_bounds__(kRowThreads, sizeof(T) == 4 ? 3 : 1)
    backward(const T* __restrict__ heatmap, const T* __restrict__ by_pixel,
             const T* __restrict__ by_sum, std::int64_t count, MapShape shape,
             SoftCountRule<compute_t<T>> rule, bool detect, T* __restrict__ out) {
  using Value = compute_t<T>;
  constexpr int kCount = kWide<T>;
  const Walk walk = Walk::of_warp(shape, kBackwardLanes * kCount);
  if (walk.map >= count) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int x = walk.left + (lane - 1) * kCount;
  const RowReader<T, kAligned, false> reader(heatmap, shape, walk, x);
  const RowReader<T, kAligned, false> grads(by_pixel, shape, walk, x);
  const Value of_map = by_sum != nullptr ? to_compute(by_sum[walk.map]) : Value(0);
  T* to = out + walk.map * shape.height * shape.width;
  const Value none = -std::numeric_limits<Value>::infinity();
  const int top = walk.top;
  const int bottom = min(top + kRowsOfWalk, shape.height);

  LoadedPart<T> soon = reader.load(top);
  LoadedPart<T> grad{};
  if constexpr (kByPixel) grad = grads.load(top - 1);
  Greatest<Value> greatest[3][kCount];  // of a row's three
  Value sums[3][kCount];                // what a row has gathered
  first_of_three(reader.spread(reader.load(top - 2), top - 2, none), 3 * 2, greatest[2]);
  RowPart<Value, kCount> here = reader.spread(reader.load(top - 1), top - 1, none);
  first_of_three(here, 3 * 0, greatest[0]);
#pragma unroll
  for (int k = 0; k < kCount; ++k) sums[2][k] = sums[0][k] = Value(0);

  for (int first = top - 1; first <= bottom; first += 3) {
#pragma unroll
    for (int own = 0; own < 3; ++own) {
      const int y = first + own;  // up to two beyond `bottom`, which nothing comes of
      const int above = (own + 2) % 3;
      const int below = (own + 1) % 3;
      const RowPart<Value, kCount> next = reader.spread(soon, y + 1, none);
      soon = reader.load(y + 2);
      first_of_three(next, 3 * below, greatest[below]);

      PassedPart<Value, kCount> row;
      Value kept[kCount];
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        const bool inside = reader.row_inside(y) && reader.holds(k);
        Greatest<Value> most = greatest[above][k];
        most.offer(greatest[own][k].value, greatest[own][k].place);
        most.offer(greatest[below][k].value, greatest[below][k].place);
        const SoftPeakSlopes<Value> soft = soft_peak_slopes(here.at[k + 1], most.value, rule.beta);
        Value by_soft = of_map;
        if constexpr (kByPixel) by_soft += to_compute(grad.pixels.at[k]);
        if (detect) by_soft *= soft_detection_slope(soft.value, rule);
        kept[k] = by_soft * soft.by_value;
        row.passed[k + 1] = inside ? by_soft * soft.by_greatest : Value(0);
        row.place[k + 1] = most.place;
      }
      row.passed[0] = __shfl_up_sync(0xFFFFFFFFu, row.passed[kCount], 1);
      row.place[0] = __shfl_up_sync(0xFFFFFFFFu, row.place[kCount], 1);
      row.passed[kCount + 1] = __shfl_down_sync(0xFFFFFFFFu, row.passed[1], 1);
      row.place[kCount + 1] = __shfl_down_sync(0xFFFFFFFFu, row.place[1], 1);
      if constexpr (kByPixel) grad = grads.load(y + 1);

#pragma unroll
      for (int dx = -1; dx <= 1; ++dx) gather(row, dx, 3 * above, sums[above]);
      if (y > top && y <= bottom && lane != 0 && lane != 31) {  // those only pass
        Wide<T> results;
#pragma unroll
        for (int k = 0; k < kCount; ++k) results.at[k] = from_compute<T>(sums[above][k]);
        write_part<T, kAligned>(to, y - 1, x, shape.width, results);
      }
      gather(row, -1, 3 * own, sums[own]);
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        sums[own][k] += kept[k];  // a pixel that is the greatest of its own window passes nothing
        sums[below][k] = Value(0);
      }
      gather(row, 1, 3 * own, sums[own]);
#pragma unroll
      for (int dx = -1; dx <= 1; ++dx) gather(row, dx, 3 * below, sums[below]);
      here = next;
    }
  }
}

MapShape shape_of(const SoftMaps& maps) {
  return {static_cast<int>(maps.height), static_cast<int>(maps.width)};
}

}  // namespace

std::int64_t soft_walks_3x3(const SoftMaps& maps) {
  const int columns = 32 * 16 / size_of(maps.number);
  return walks_of(maps.height, maps.width, columns);
}

cudaError_t soft_forward_3x3(const SoftMaps& maps, void* out, double* partial,
                             cudaStream_t stream) {
  const unsigned blocks = blocks_across(maps.maps * soft_walks_3x3(maps), kRowWarps);
  return visit_number(maps.number, [&](auto zero) -> cudaError_t {
    using T = decltype(zero);
    const auto* heatmap = static_cast<const T*>(maps.heatmap);
    const SoftCountRule<compute_t<T>> rule = maps.rule<compute_t<T>>();
    auto* to = static_cast<T*>(out);
    return rows_aligned<T>(heatmap, maps.width) && rows_aligned<T>(out, maps.width)
               ? LAUNCH((forward<T, true>), blocks, kRowThreads, 0, stream, heatmap, maps.maps,
                        shape_of(maps), rule, maps.detect, to, partial)
               : LAUNCH((forward<T, false>), blocks, kRowThreads, 0, stream, heatmap, maps.maps,
                        shape_of(maps), rule, maps.detect, to, partial);
  });
}

cudaError_t soft_backward_3x3(const SoftMaps& maps, const void* grad, const void* grad_sum,
                              void* out, cudaStream_t stream) {
  return visit_number(maps.number, [&](auto zero) -> cudaError_t {
    using T = decltype(zero);
    const auto* heatmap = static_cast<const T*>(maps.heatmap);
    const auto* by_pixel = static_cast<const T*>(grad);
    const bool aligned = rows_aligned<T>(heatmap, maps.width) &&
                         rows_aligned<T>(by_pixel, maps.width) && rows_aligned<T>(out, maps.width);
    const std::int64_t walks = walks_of(maps.height, maps.width, kBackwardLanes * kWide<T>);
    const auto run = [&](auto kernel) {
      return LAUNCH(kernel, blocks_across(maps.maps * walks, kRowWarps), kRowThreads, 0, stream,
                    heatmap, by_pixel, static_cast<const T*>(grad_sum), maps.maps, shape_of(maps),
                    maps.rule<compute_t<T>>(), maps.detect, static_cast<T*>(out));
    };
    if (by_pixel == nullptr) {
      return aligned ? run(&backward<T, true, false>) : run(&backward<T, false, false>);
    }
    return aligned ? run(&backward<T, true, true>) : run(&backward<T, false, true>);
  });
}

}  // namespace fastcount::cuda
