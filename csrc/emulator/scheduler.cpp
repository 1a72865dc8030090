// glibc's checked longjmp refuses to leave one stack for another.
#undef _FORTIFY_SOURCE
#include "emulator/scheduler.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulator {
namespace {

constexpr std::size_t kStack = 256 * 1024;  // address space; pages are taken as they are touched
constexpr unsigned kMostThreads = 1024;
constexpr unsigned kLanes = 32;

enum class State { kReady, kBarrier, kExchange, kDone };

struct Fiber {
  uint3 index;
  State state;
  int line;  // of the barrier or exchange at which it waits
  Exchange kind;
  unsigned mask;
  std::uint64_t value;  // given, then received
  int source;
};

struct Grid {
  const std::function<void()>* body;
  std::vector<Fiber> fibers;
  std::size_t running;
  std::unique_ptr<unsigned char, decltype(&std::free)> shared;
  bool failed;
};

Grid* active = nullptr;
std::string error;
std::uint64_t seed = 1;
std::uint64_t launches = 0;

char* stacks() {
  static char* memory = [] {
    void* got = mmap(nullptr, kStack * kMostThreads, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) std::abort();
    return static_cast<char*>(got);
  }();
  return memory;
}

Fiber& current() { return active->fibers[active->running]; }

void report(const std::string& what) {
  if (error.empty()) error = what;
  if (active != nullptr) active->failed = true;
}

std::string place(const Fiber& fiber) {
  return "thread (" + std::to_string(fiber.index.x) + ", " + std::to_string(fiber.index.y) + ", " +
         std::to_string(fiber.index.z) + ") at line " + std::to_string(fiber.line);
}

// A stack outlives its thread: the next thread of that number takes it over in run_bodies. Only a
// stack left in the middle of a failed kernel is set up again.
struct Stack {
  ucontext_t context;
  bool ready = false;
#if !defined(__SANITIZE_ADDRESS__)
  jmp_buf place;
#endif
};

Stack all_stacks[kMostThreads];

void run_bodies();

void prepare(std::size_t number) {
  Stack& stack = all_stacks[number];
  getcontext(&stack.context);
  stack.context.uc_stack.ss_sp = stacks() + number * kStack;
  stack.context.uc_stack.ss_size = kStack;
  stack.context.uc_link = nullptr;
  makecontext(&stack.context, run_bodies, 0);
}

#if defined(__SANITIZE_ADDRESS__)

// The sanitizer knows swapcontext, and wants to be told which stack is in use.
ucontext_t scheduler_context;
const void* scheduler_stack = nullptr;
std::size_t scheduler_size = 0;

void switch_to_fiber(std::size_t number) {
  Stack& stack = all_stacks[number];
  if (!stack.ready) {
    prepare(number);
    __asan_unpoison_memory_region(stacks() + number * kStack, kStack);
    stack.ready = true;
  }
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, stacks() + number * kStack, kStack);
  swapcontext(&scheduler_context, &stack.context);
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
}

void switch_to_scheduler() {
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, scheduler_stack, scheduler_size);
  swapcontext(&all_stacks[active->running].context, &scheduler_context);
  __sanitizer_finish_switch_fiber(fake, &scheduler_stack, &scheduler_size);
}

void first_arrival() {
  __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_size);
}

#else

// swapcontext asks the kernel for the signal mask at every switch; these do not.
jmp_buf scheduler_place;

void switch_to_fiber(std::size_t number) {
  if (_setjmp(scheduler_place) != 0) return;
  Stack& stack = all_stacks[number];
  if (stack.ready) _longjmp(stack.place, 1);
  prepare(number);
  stack.ready = true;
  setcontext(&stack.context);
}

void switch_to_scheduler() {
  if (_setjmp(all_stacks[active->running].place) == 0) _longjmp(scheduler_place, 1);
}

void first_arrival() {}

#endif

void run_bodies() {
  first_arrival();
  for (;;) {
    (*active->body)();
    current().state = State::kDone;
    switch_to_scheduler();
  }
}

// Lets the lanes of this mask go on once all of them have come.
void complete_exchange(std::size_t number) {
  const Fiber arrived = active->fibers[number];
  const std::size_t first = number / kLanes * kLanes;
  std::uint64_t given[kLanes] = {};
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if ((arrived.mask >> lane & 1) == 0) continue;
    if (first + lane >= active->fibers.size()) {
      return report("a mask names a lane beyond the block, " + place(arrived));
    }
    const Fiber& fiber = active->fibers[first + lane];
    if (fiber.state == State::kDone) {
      return report("a mask names a lane that has returned, " + place(arrived));
    }
    if (fiber.state != State::kExchange) return;
    if (fiber.mask != arrived.mask || fiber.kind != arrived.kind) {
      return report("lanes of one mask at different exchanges, " + place(arrived) + " and " +
                    place(fiber));
    }
    given[lane] = fiber.value;
  }
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if ((arrived.mask >> lane & 1) == 0) continue;
    Fiber& fiber = active->fibers[first + lane];
    std::uint64_t received = 0;
    if (fiber.kind == Exchange::kShuffle) {
      if ((fiber.mask >> fiber.source & 1) == 0) {
        return report("a shuffle reads a lane outside its mask, " + place(fiber));
      }
      received = given[fiber.source];
    } else {
      for (unsigned other = 0; other < kLanes; ++other) {
        if ((fiber.mask >> other & 1) == 0) continue;
        const bool counts =
            fiber.kind == Exchange::kBallot ? given[other] != 0 : given[other] == given[lane];
        if (counts) received |= std::uint64_t{1} << other;
      }
    }
    fiber.value = received;
    fiber.state = State::kReady;
  }
}

// Opens the block's barrier if every thread stands before it; otherwise nobody can ever go on.
void open_barrier() {
  const Fiber& first = active->fibers[0];
  for (const Fiber& fiber : active->fibers) {
    if (fiber.state != State::kBarrier || fiber.line != first.line) {
      const Fiber& waiting = fiber.state == State::kDone ? first : fiber;
      const Fiber& other = fiber.state == State::kDone ? fiber : first;
      return report(std::string("threads wait for ever: ") + place(waiting) + " while " +
                    place(other) + (other.state == State::kDone ? " has returned" : " waits too"));
    }
  }
  std::uint64_t sum = 0;
  for (const Fiber& fiber : active->fibers) sum += fiber.value;
  for (Fiber& fiber : active->fibers) {
    fiber.value = sum;
    fiber.state = State::kReady;
  }
}

// Numbers from a seed: xorshift64*.
struct Random {
  std::uint64_t state;
  std::uint64_t below(std::uint64_t bound) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * 0x2545F4914F6CDD1Du >> 33) % bound;
  }
};

template <typename T>
void shuffle(std::vector<T>& order, Random& random) {
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
}

void run_block(Random& random) {
  const std::size_t threads = active->fibers.size();
  for (Fiber& fiber : active->fibers) fiber.state = State::kReady;
  std::vector<std::size_t> warps((threads + kLanes - 1) / kLanes);
  std::iota(warps.begin(), warps.end(), std::size_t{0});
  while (!active->failed) {
    bool moved = false;
    shuffle(warps, random);
    for (const std::size_t warp : warps) {
      const std::size_t step = 2 * random.below(kLanes / 2) + 1;  // odd: meets every lane
      const std::size_t first = random.below(kLanes);
      for (std::size_t i = 0; i < kLanes; ++i) {
        const std::size_t number = warp * kLanes + (first + i * step) % kLanes;
        if (number >= threads || active->fibers[number].state != State::kReady) continue;
        moved = true;
        active->running = number;
        threadIdx = active->fibers[number].index;
        switch_to_fiber(number);
        if (active->fibers[number].state == State::kExchange) complete_exchange(number);
        if (active->failed) return;
      }
    }
    if (moved) continue;
    const bool done = std::all_of(active->fibers.begin(), active->fibers.end(),
                                  [](const Fiber& fiber) { return fiber.state == State::kDone; });
    if (done) return;
    open_barrier();
  }
}

}  // namespace

bool run_grid(dim3 grid, dim3 block, std::size_t shared_bytes, const std::function<void()>& body) {
  const std::size_t threads = std::size_t{block.x} * block.y * block.z;
  Grid state{&body, std::vector<Fiber>(threads), 0, {nullptr, &std::free}, false};
  for (std::size_t number = 0; number < threads; ++number) {
    const auto n = static_cast<unsigned>(number);
    state.fibers[number].index = {n % block.x, n / block.x % block.y, n / block.x / block.y};
  }
  Random random{(seed + 1) * 0x9E3779B97F4A7C15u + ++launches};
  std::vector<std::size_t> blocks(std::size_t{grid.x} * grid.y * grid.z);
  std::iota(blocks.begin(), blocks.end(), std::size_t{0});
  shuffle(blocks, random);
  active = &state;
  blockDim = block;
  gridDim = grid;
  for (const std::size_t number : blocks) {
    const std::size_t plane = std::size_t{grid.x} * grid.y;
    blockIdx = {static_cast<unsigned>(number % grid.x),
                static_cast<unsigned>(number % plane / grid.x),
                static_cast<unsigned>(number / plane)};
    // Fresh memory for each block, filled with NaN: what a kernel did not write is never a zero.
    state.shared.reset(static_cast<unsigned char*>(std::malloc(shared_bytes)));
    if (shared_bytes > 0) std::memset(state.shared.get(), 0xFF, shared_bytes);
    run_block(random);
    if (state.failed) break;
  }
  if (state.failed) {
    for (std::size_t number = 0; number < threads; ++number) {
      all_stacks[number].ready = false;
    }
  }
  active = nullptr;
  return !state.failed;
}

void* dynamic_shared() { return active->shared.get(); }

int block_barrier(bool given, int line) {
  Fiber& fiber = current();
  fiber.state = State::kBarrier;
  fiber.line = line;
  fiber.value = given ? 1 : 0;
  switch_to_scheduler();
  return static_cast<int>(fiber.value);
}

std::uint64_t warp_exchange(Exchange kind, unsigned mask, std::uint64_t value, int source,
                            int line) {
  Fiber& fiber = current();
  fiber.line = line;
  if ((mask >> lane() & 1) == 0) fail("a lane is not in its own mask", line);
  fiber.kind = kind;
  fiber.mask = mask;
  fiber.value = value;
  fiber.source = source;
  fiber.state = State::kExchange;
  switch_to_scheduler();
  return fiber.value;
}

int lane() { return static_cast<int>(active->running % kLanes); }

void fail(const char* what, int line) {
  current().line = line;
  report(std::string(what) + ", " + place(current()));
  current().state = State::kDone;
  switch_to_scheduler();
  std::abort();  // a fiber of a failed grid is never resumed
}

void set_seed(std::uint64_t value) {
  seed = value;
  launches = 0;
}

const char* message() { return error.c_str(); }

void clear_message() { error.clear(); }

}  // namespace emulator
