// The point sets of a batch for a kernel: where each begins, passed by value as a kernel argument.
// No copy to the device, so nothing to wait for, and a CUDA graph keeps them.
#pragma once

#include <algorithm>
#include <cstdint>

namespace fastcount::cuda {

constexpr int kMostSets = 256;  // of one launch: 2 KiB of the 4 KiB that arguments may take

struct SetTable {
  std::int64_t first_set;  // of this launch among all sets
  int sets;
  std::int64_t starts[kMostSets + 1];
};

// Calls work(table, points of the largest set) for every kMostSets sets; stops at an error.
// `offsets` is on the host and has `sets` + 1 entries.
template <typename Error, typename Work>
Error for_each_table(const std::int64_t* offsets, std::int64_t sets, Error success, Work&& work) {
  for (std::int64_t first = 0; first < sets; first += kMostSets) {
    SetTable table{};
    table.first_set = first;
    table.sets = static_cast<int>(std::min<std::int64_t>(sets - first, kMostSets));
    std::int64_t largest = 0;
    for (int i = 0; i <= table.sets; ++i) {
      table.starts[i] = offsets[first + i];
      if (i > 0) largest = std::max(largest, table.starts[i] - table.starts[i - 1]);
    }
    const Error error = work(table, largest);
    if (error != success) return error;
  }
  return success;
}

}  // namespace fastcount::cuda
