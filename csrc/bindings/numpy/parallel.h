// Work divided among threads that live as long as the call: there is no pool to keep, to fork, or
// to share with another library's. Starting one takes some ten microseconds, so parts must be
// larger.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif

namespace fastcount {

// As many as this process may use; fewer where OMP_NUM_THREADS says so, as torch and ONNX Runtime
// have it.
inline std::int64_t threads_at_most() {
  std::int64_t cores = std::max(1U, std::thread::hardware_concurrency());
#ifdef __linux__
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) cores = CPU_COUNT(&allowed);
#endif
  const char* asked = std::getenv("OMP_NUM_THREADS");
  const std::int64_t wanted = asked == nullptr ? 0 : std::atoll(asked);
  return wanted > 0 ? std::min(wanted, cores) : cores;
}

// body(first, last) for parts of begin .. end - 1, of `grain` at least where there are so many.
// What a body throws is thrown again here.
template <typename Body>
void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain, const Body& body) {
  const std::int64_t number = end - begin;
  if (number <= 0) return;
  const std::int64_t parts = std::min(threads_at_most(), (number + grain - 1) / grain);
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(parts));
  const auto run = [&](std::int64_t part) {
    try {
      body(begin + number * part / parts, begin + number * (part + 1) / parts);
    } catch (...) {
      failures[static_cast<std::size_t>(part)] = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(parts));
  for (std::int64_t part = 1; part < parts; ++part) {
    try {
      threads.emplace_back(run, part);
    } catch (const std::exception&) {  // no more threads, or no memory to begin one
      run(part);
    }
  }
  run(0);
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace fastcount
