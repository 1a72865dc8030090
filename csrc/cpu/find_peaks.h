// Local maxima of maps on a CPU.
//
// Floor: 4 HW bytes read, and a few more written for each peak. Work: about 5 + log2(kernel) vector
// operations a pixel in each direction, whatever the window's size: running maxima of 1, 2, 4, ...
// neighbours give those of any number by two overlapping runs. Only values that reach the
// threshold take part, since smaller ones can hold nobody back; rows without any are left out.
//
// Counted by valgrind in the AVX2 code, 256 x 1024 float32 noise with 29,345 peaks, 3 x 3: 16
// instructions a pixel, a third of them to sort the peaks.
//
// Reached on 768 x 1024 on two cores of an AMD EPYC with AVX-512 (2026-11-29; in the same run
// copying 35.6 GB/s, a float32 matrix product 205 GFLOP/s): noise, 3 x 3 in 0.84 ms, the map read
// at 11 % of copying and the maxima made at 12 % of the product's operations (which leaves out
// some 88,000 peaks and their order); 7 x 7 in 0.51 ms, 17 % and 24 %. Blobs, 3 x 3 in 0.26 ms, 34
// % and 39 %; 11 x 11 in 0.50 ms, 18 % and 26 %.
#pragma once

#include <cstdint>
#include <vector>

#include "math/find_peaks.h"

namespace fastcount::cpu {

struct PeakRule {
  std::int64_t height;
  std::int64_t width;
  std::int64_t radius;  // the window is 2 * radius + 1 pixels a side
  double threshold;
  bool smooth;          // average 3 x 3 first, zeros outside counted
  bool strict = false;  // an equal value anywhere in the window is too much
};

template <typename T>
struct Peak {
  OrderKey<T> key;     // value_of_key gives the score
  std::int32_t index;  // row * width + column
};

// Memory that a thread keeps between calls of find_strip.
template <typename T>
struct PeakScratch {
  std::vector<OrderKey<T>> rows;
  std::vector<OrderKey<T>> candidates;
  std::vector<OrderKey<T>> line;
  std::vector<T> sums;
  std::vector<unsigned char> alive;
  std::vector<unsigned char> marks;
  std::vector<Peak<T>> row_peaks;
};

// Appends the peaks of rows first_row .. last_row - 1 of one map, in reading order.
template <typename T>
void find_strip(const T* map, const PeakRule& rule, std::int64_t first_row, std::int64_t last_row,
                PeakScratch<T>& scratch, std::vector<Peak<T>>& peaks);

// Puts peaks that are in reading order into falling order of score; equal ones stay in theirs.
template <typename T>
void sort_peaks(std::vector<Peak<T>>& peaks, std::vector<Peak<T>>& spare);

}  // namespace fastcount::cpu
