// Which peaks of a map are among its t highest, on a CPU. Floor: 4 HW bytes read and written.
#pragma once

#include <cstdint>
#include <vector>

namespace fastcount::cpu {

// 1 where an entry of `map`, [pixels], is not 0 and at least its t-th highest such entry, else 0.
// Fewer than t: all of them; t <= 0: none. A NaN is no peak. `heights` is scratch.
template <typename T>
void mask_top_peaks(const T* map, std::int64_t pixels, std::int64_t t, std::vector<T>& heights,
                    T* mask);

}  // namespace fastcount::cpu
