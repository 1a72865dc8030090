// Which peaks of a map are among its t highest, on a CPU.
//
// Floor: 4 HW bytes read and as many written, two comparisons an entry and a selection among the
// peaks. Reached by benchmarks/bench_peak_map.py on two cores of an AMD EPYC with AVX2 (2026-11-25;
// in the same run copying 19.4 GB/s): 0.28 ms, 19 % of copying.
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
