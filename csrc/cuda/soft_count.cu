// Windows of other sizes than 3 x 3, for which soft_count_3x3.cu has its own kernels.
//
// Floor: forward 8 HW bytes in float32 (read and write), backward 12 HW (both read, one written).
// Work: k * k comparisons and two exponentials a pixel forward, 3 k * k comparisons and three
// exponentials backward. Not yet measured on a GPU.
//
// A block holds 32 x 16 pixels and a margin in shared memory, read 16 bytes at a time where a row
// is aligned so: one radius forward, two backward, where every pixel of the inner margin finds its
// window's maximum again and says what it passes to it. A pixel then gathers, always in reading
// order: no atomics, the same bits every time. Results are collected in shared memory, to be
// written 16 bytes at a time, too. The sums are made of the blocks' sums, in float64, in their
// order. For windows too large for that (radius above 8) the maxima are looked for in global
// memory, and backward keeps what each pixel passes, and to whom, in scratch memory.
#include "cuda/soft_count.h"

#include <algorithm>
#include <limits>

#include "cuda/block_sum.h"
#include "cuda/soft_count_3x3.h"
#include "cuda/wide.h"
#include "math/soft_count.h"

namespace fastcount::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kTileWidth = 32;
constexpr int kTileHeight = 16;
constexpr int kMostMargin = 8;

struct Shape {
  int height, width, radius, across, down;  // the last two: tiles
};

// One map's part of shared memory: pixels (top .. , left .. ) in rows of `stride`, which like
// `left` is a multiple of kWide.
template <typename Value>
struct Tile {
  Value* values;
  int top, left, stride, rows;

  __device__ __forceinline__ Value& at(int y, int x) const {
    return values[(y - top) * stride + x - left];
  }
};

// The tile of kTileWidth x kTileHeight pixels from (top, left), with `margin` around it and what
// makes whole accesses.
template <typename T>
__device__ __forceinline__ Tile<compute_t<T>> tile_around(compute_t<T>* values, int top, int left,
                                                          int margin) {
  const int side = wide_margin<T>(margin);
  return {values, top - margin, left - side, kTileWidth + 2 * side, kTileHeight + 2 * margin};
}

template <typename T>
constexpr std::size_t tile_bytes(int margin) {
  return sizeof(compute_t<T>) * static_cast<std::size_t>(kTileWidth + 2 * wide_margin<T>(margin)) *
         static_cast<std::size_t>(kTileHeight + 2 * margin);
}

// What backward_in_tile wants: the tile, and what each pixel of the inner margin passes, to whom.
template <typename T>
constexpr std::size_t backward_bytes(int radius) {
  return tile_bytes<T>(2 * radius) + (sizeof(compute_t<T>) + sizeof(int)) *
                                         static_cast<std::size_t>(kTileWidth + 2 * radius) *
                                         static_cast<std::size_t>(kTileHeight + 2 * radius);
}

template <typename T>
__device__ __forceinline__ void load_tile(const T* map, const Shape& shape,
                                          const Tile<compute_t<T>>& tile) {
  using Value = compute_t<T>;
  const Value outside = -std::numeric_limits<Value>::infinity();
  const int chunks = tile.stride / kWide<T>;
  for (int i = static_cast<int>(threadIdx.x); i < chunks * tile.rows; i += kThreads) {
    const int y = tile.top + i / chunks;
    const int column = i % chunks * kWide<T>;
    Value* row = tile.values + i / chunks * tile.stride + column;
    Value values[kWide<T>];
    const bool on_map = y >= 0 && y < shape.height;
    if (on_map) {
      read_wide(map + static_cast<std::int64_t>(y) * shape.width, tile.left + column, shape.width,
                outside, values);
    }
    for (int k = 0; k < kWide<T>; ++k) row[k] = on_map ? values[k] : outside;
  }
}

// A tile's results, row by row.
template <typename T>
constexpr int kResults = kTileWidth * kTileHeight / kWide<T>;

template <typename T>
__device__ __forceinline__ void store_tile(const Wide<T>* results, const Shape& shape, int top,
                                           int left, T* map) {
  constexpr int kChunks = kTileWidth / kWide<T>;
  for (int i = static_cast<int>(threadIdx.x); i < kResults<T>; i += kThreads) {
    const int y = top + i / kChunks;
    if (y >= shape.height) continue;
    write_wide(map + static_cast<std::int64_t>(y) * shape.width, left + i % kChunks * kWide<T>,
               shape.width, results[i]);
  }
}

template <typename Value>
struct Greatest {
  Value value;
  int index;  // the first pixel of the window that holds it, row * width + column
};

// The greatest value of the window around (y, x); read(y, x) is only asked for pixels of the map.
// Where there is nothing but -inf and NaN, which passes nothing on, the place is (y, x) itself.
template <typename Value, typename Read>
__device__ __forceinline__ Greatest<Value> greatest_around(const Shape& shape, int y, int x,
                                                           const Read& read) {
  Greatest<Value> found{-std::numeric_limits<Value>::infinity(), y * shape.width + x};
  const int left = max(x - shape.radius, 0);
  const int right = min(x + shape.radius, shape.width - 1);
  const int bottom = min(y + shape.radius, shape.height - 1);
  for (int row = max(y - shape.radius, 0); row <= bottom; ++row) {
    for (int column = left; column <= right; ++column) {
      const Value value = read(row, column);
      if (value > found.value) found = {value, row * shape.width + column};
    }
  }
  return found;
}

template <typename Value>
__device__ __forceinline__ Value softened(Value p, Value greatest, const SoftCountRule<Value>& rule,
                                          bool detect) {
  const Value soft = soft_peak(p, greatest, rule.beta);
  return detect ? soft_detection(soft, rule) : soft;
}

// What a pixel keeps of its output's gradient `by_output`, and what it passes to its maximum.
template <typename Value>
struct Split {
  Value own, passed;
};

template <typename Value>
__device__ __forceinline__ Split<Value> split(Value p, Value greatest, Value by_output,
                                              const SoftCountRule<Value>& rule, bool detect) {
  const SoftPeakSlopes<Value> slopes = soft_peak_slopes(p, greatest, rule.beta);
  const Value slope = detect ? soft_detection_slope(slopes.value, rule) : Value(1);
  return {by_output * slope * slopes.by_value, by_output * slope * slopes.by_greatest};
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    forward(const T* heatmap, Shape shape, SoftCountRule<compute_t<T>> rule, bool detect, T* out,
            double* partial) {
  using Value = compute_t<T>;
  const int tile_number = static_cast<int>(blockIdx.x) % (shape.across * shape.down);
  const std::int64_t start = static_cast<std::int64_t>(blockIdx.x / (shape.across * shape.down)) *
                             shape.height * shape.width;
  const int top = tile_number / shape.across * kTileHeight;
  const int left = tile_number % shape.across * kTileWidth;
  const bool tiled = shape.radius <= kMostMargin;
  const Tile<Value> tile =
      tile_around<T>(dynamic_shared<Value>(), top, left, tiled ? shape.radius : 0);
  __shared__ Wide<T> results[kResults<T>];
  if (tiled) load_tile(heatmap + start, shape, tile);
  __syncthreads();
  double sum = 0.0;
  for (int i = static_cast<int>(threadIdx.x); i < kTileWidth * kTileHeight; i += kThreads) {
    const int y = top + i / kTileWidth;
    const int x = left + i % kTileWidth;
    if (y >= shape.height || x >= shape.width) continue;
    const auto read = [&](int row, int column) -> Value {
      if (tiled) return tile.at(row, column);
      return to_compute(heatmap[start + static_cast<std::int64_t>(row) * shape.width + column]);
    };
    const Value greatest = greatest_around<Value>(shape, y, x, read).value;
    const Value result = softened(read(y, x), greatest, rule, detect);
    results[i / kWide<T>].at[i % kWide<T>] = from_compute<T>(result);
    sum += static_cast<double>(result);
  }
  __syncthreads();
  store_tile(results, shape, top, left, out + start);
  if (partial == nullptr) return;  // all threads alike
  sum = block_sum<kThreads>({sum, 0.0}).first;
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

template <typename T>
__global__ void __launch_bounds__(kThreads) add_tiles(const double* partial, int tiles, T* sums) {
  double sum = 0.0;
  for (int i = static_cast<int>(threadIdx.x); i < tiles; i += kThreads) {
    sum += partial[static_cast<std::int64_t>(blockIdx.x) * tiles + i];
  }
  sum = block_sum<kThreads>({sum, 0.0}).first;
  if (threadIdx.x == 0) sums[blockIdx.x] = from_compute<T>(static_cast<compute_t<T>>(sum));
}

template <typename T>
struct Gradients {
  const T* by_pixel;  // or null
  const T* by_sum;    // or null

  __device__ __forceinline__ compute_t<T> at(std::int64_t pixel, std::int64_t map) const {
    const compute_t<T> zero(0);
    return (by_pixel ? to_compute(by_pixel[pixel]) : zero) +
           (by_sum ? to_compute(by_sum[map]) : zero);
  }
};

// Small windows: all in shared memory.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    backward_in_tile(const T* heatmap, Gradients<T> grad, Shape shape,
                     SoftCountRule<compute_t<T>> rule, bool detect, T* out) {
  using Value = compute_t<T>;
  const int tile_number = static_cast<int>(blockIdx.x) % (shape.across * shape.down);
  const std::int64_t map = blockIdx.x / (shape.across * shape.down);
  const std::int64_t start = map * shape.height * shape.width;
  const int top = tile_number / shape.across * kTileHeight;
  const int left = tile_number % shape.across * kTileWidth;
  const int radius = shape.radius;
  const Tile<Value> tile = tile_around<T>(dynamic_shared<Value>(), top, left, 2 * radius);
  // Of the pixels within one radius: what they pass, and to whom.
  const int inner_stride = kTileWidth + 2 * radius;
  const int inner_size = inner_stride * (kTileHeight + 2 * radius);
  Value* passed = tile.values + tile.stride * tile.rows;
  int* receiver = reinterpret_cast<int*>(passed + inner_size);
  __shared__ Wide<T> results[kResults<T>];
  load_tile(heatmap + start, shape, tile);
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < inner_size; i += kThreads) {
    const int y = top - radius + i / inner_stride;
    const int x = left - radius + i % inner_stride;
    passed[i] = Value(0);
    receiver[i] = -1;
    if (y < 0 || y >= shape.height || x < 0 || x >= shape.width) continue;
    const Greatest<Value> greatest = greatest_around<Value>(
        shape, y, x, [&](int row, int column) -> Value { return tile.at(row, column); });
    const Value by_output = grad.at(start + static_cast<std::int64_t>(y) * shape.width + x, map);
    passed[i] = split(tile.at(y, x), greatest.value, by_output, rule, detect).passed;
    receiver[i] = greatest.index;
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < kTileWidth * kTileHeight; i += kThreads) {
    const int y = top + i / kTileWidth;
    const int x = left + i % kTileWidth;
    if (y >= shape.height || x >= shape.width) continue;
    const int here = y * shape.width + x;
    const Value p = tile.at(y, x);
    // Its own window's maximum is where it passed something to, or itself.
    const int own_at = (y - top + radius) * inner_stride + x - left + radius;
    const int target = receiver[own_at];
    const Value greatest = tile.at(target / shape.width, target % shape.width);
    const Value own = split(p, greatest, grad.at(start + here, map), rule, detect).own;
    Value sum(0);
    for (int row = -radius; row <= radius; ++row) {
      for (int column = -radius; column <= radius; ++column) {
        const int other = own_at + row * inner_stride + column;
        if (row == 0 && column == 0) sum += own;
        if (receiver[other] == here) sum += passed[other];
      }
    }
    results[i / kWide<T>].at[i % kWide<T>] = from_compute<T>(sum);
  }
  __syncthreads();
  store_tile(results, shape, top, left, out + start);
}

// Large windows, first step: what each pixel keeps and passes, and to whom.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    split_all(const T* heatmap, Gradients<T> grad, Shape shape, SoftCountRule<compute_t<T>> rule,
              bool detect, std::int64_t total, Split<compute_t<T>>* splits, int* receivers) {
  using Value = compute_t<T>;
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= total) return;
  const std::int64_t pixels = static_cast<std::int64_t>(shape.height) * shape.width;
  const T* values = heatmap + i / pixels * pixels;
  const int here = static_cast<int>(i % pixels);
  const Greatest<Value> greatest = greatest_around<Value>(
      shape, here / shape.width, here % shape.width, [&](int row, int column) -> Value {
        return to_compute(values[static_cast<std::int64_t>(row) * shape.width + column]);
      });
  splits[i] = split(to_compute(heatmap[i]), greatest.value, grad.at(i, i / pixels), rule, detect);
  receivers[i] = greatest.index;
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    gather_all(Shape shape, std::int64_t total, const Split<compute_t<T>>* splits,
               const int* receivers, T* out) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= total) return;
  const std::int64_t pixels = static_cast<std::int64_t>(shape.height) * shape.width;
  const std::int64_t start = i / pixels * pixels;
  const int here = static_cast<int>(i - start);
  const int y = here / shape.width;
  const int x = here % shape.width;
  const int left = max(x - shape.radius, 0);
  const int right = min(x + shape.radius, shape.width - 1);
  const int bottom = min(y + shape.radius, shape.height - 1);
  compute_t<T> sum(0);
  for (int row = max(y - shape.radius, 0); row <= bottom; ++row) {
    for (int column = left; column <= right; ++column) {
      const std::int64_t other = start + static_cast<std::int64_t>(row) * shape.width + column;
      if (other == i) sum += splits[other].own;
      if (receivers[other] == here) sum += splits[other].passed;
    }
  }
  out[i] = from_compute<T>(sum);
}

Shape shape_of(const SoftMaps& maps) {
  const std::int64_t reach = std::max(maps.height, maps.width) - 1;
  return {static_cast<int>(maps.height), static_cast<int>(maps.width),
          static_cast<int>(std::min(maps.radius, reach)),
          static_cast<int>((maps.width + kTileWidth - 1) / kTileWidth),
          static_cast<int>((maps.height + kTileHeight - 1) / kTileHeight)};
}

}  // namespace

std::int64_t SoftMaps::tiles() const {
  if (radius == 1) return soft_walks_3x3(*this);
  const Shape shape = shape_of(*this);
  return std::int64_t{shape.across} * shape.down;
}

cudaError_t soft_forward(const SoftMaps& maps, void* out, double* partial, void* sums,
                         cudaStream_t stream) {
  const Shape shape = shape_of(maps);
  const auto tiles = static_cast<int>(maps.tiles());
  const int margin = shape.radius <= kMostMargin ? shape.radius : 0;
  return visit_number(maps.number, [&](auto zero) -> cudaError_t {
    using T = decltype(zero);
    using Value = compute_t<T>;
    double* sums_of_tiles = sums == nullptr ? nullptr : partial;
    const cudaError_t error =
        maps.radius == 1
            ? soft_forward_3x3(maps, out, sums_of_tiles, stream)
            : LAUNCH(forward<T>, blocks_across(maps.maps * tiles), kThreads, tile_bytes<T>(margin),
                     stream, static_cast<const T*>(maps.heatmap), shape, maps.rule<Value>(),
                     maps.detect, static_cast<T*>(out), sums_of_tiles);
    if (error != cudaSuccess || sums == nullptr) return error;
    return LAUNCH(add_tiles<T>, blocks_across(maps.maps), kThreads, 0, stream, partial, tiles,
                  static_cast<T*>(sums));
  });
}

std::int64_t soft_backward_scratch(const SoftMaps& maps) {
  if (shape_of(maps).radius <= kMostMargin) return 0;
  const bool wide = maps.number == Number::kFloat64;
  return maps.maps * maps.height * maps.width * (wide ? 2 * 8 + 4 : 2 * 4 + 4);
}

cudaError_t soft_backward(const SoftMaps& maps, const void* grad, const void* grad_sum,
                          void* scratch, void* out, cudaStream_t stream) {
  if (maps.radius == 1) return soft_backward_3x3(maps, grad, grad_sum, out, stream);
  const Shape shape = shape_of(maps);
  const std::int64_t total = maps.maps * maps.height * maps.width;
  return visit_number(maps.number, [&](auto zero) -> cudaError_t {
    using T = decltype(zero);
    using Value = compute_t<T>;
    const auto* heatmap = static_cast<const T*>(maps.heatmap);
    const Gradients<T> gradients{static_cast<const T*>(grad), static_cast<const T*>(grad_sum)};
    const SoftCountRule<Value> rule = maps.rule<Value>();
    if (shape.radius <= kMostMargin) {
      // No more than every GPU gives without being asked, the results' own included.
      static_assert(backward_bytes<T>(kMostMargin) + sizeof(Wide<T>) * kResults<T> <= 48 * 1024);
      const std::size_t shared = backward_bytes<T>(shape.radius);
      return LAUNCH(backward_in_tile<T>, blocks_across(maps.maps * maps.tiles()), kThreads, shared,
                    stream, heatmap, gradients, shape, rule, maps.detect, static_cast<T*>(out));
    }
    auto* splits = static_cast<Split<Value>*>(scratch);
    auto* receivers = reinterpret_cast<int*>(splits + total);
    const cudaError_t error =
        LAUNCH(split_all<T>, blocks_across(total, kThreads), kThreads, 0, stream, heatmap,
               gradients, shape, rule, maps.detect, total, splits, receivers);
    if (error != cudaSuccess) return error;
    return LAUNCH(gather_all<T>, blocks_across(total, kThreads), kThreads, 0, stream, shape, total,
                  splits, receivers, static_cast<T*>(out));
  });
}

}  // namespace fastcount::cuda
