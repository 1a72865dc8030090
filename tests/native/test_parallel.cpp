// Work divided among threads: all of it is done, once, also where there is no memory to begin a
// thread.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

#include "bindings/numpy/parallel.h"
#include "expect.h"

namespace {

std::atomic<int> allocations_left{-1};  // until there is no memory; below 0: there always is

void everything_is_done_once(int allocations) {
  std::vector<int> done(1000);
  allocations_left = allocations;
  fastcount::parallel_for(0, 1000, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) ++done[static_cast<std::size_t>(i)];
  });
  allocations_left = -1;
  EXPECT(done == std::vector<int>(1000, 1));
}

}  // namespace

void* operator new(std::size_t bytes) {
  if (allocations_left == 0) throw std::bad_alloc();
  if (allocations_left > 0) --allocations_left;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

int main() {
  setenv("OMP_NUM_THREADS", "4", 1);
  everything_is_done_once(-1);
  everything_is_done_once(2);  // its two lists, and nothing for a thread
  return failures();
}
