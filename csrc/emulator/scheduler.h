// Runs one CUDA grid on one CPU thread: blocks one after the other, the threads of a block as
// fibers.
//
// A fiber runs until a barrier, a warp-wide exchange or its end. Who runs next is drawn at random
// from a seed: blocks, warps within a block and lanes within a warp all come in shuffled order. A
// kernel that forgets a barrier therefore reads what another thread has not written yet, and its
// result differs from the reference or from its own result under another seed.
//
// Stricter than a GPU: an exited lane named in a mask, threads at different barriers and waiting
// for ever are errors, reported by message() and by every later cudaGetLastError.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

// The thread that runs now, as CUDA names it.
inline uint3 threadIdx{};
inline uint3 blockIdx{};
inline dim3 blockDim{};
inline dim3 gridDim{};
constexpr int warpSize = 32;

namespace emulator {

// Runs `body` once for every thread; false after an error.
bool run_grid(dim3 grid, dim3 block, std::size_t shared_bytes, const std::function<void()>& body);

// The dynamic shared memory of the running block, exactly as large as the launch said, so that a
// sanitizer sees one byte too many.
void* dynamic_shared();

// __syncthreads: waits for every thread of the block. The answer is how many gave true.
int block_barrier(bool given, int line);

// What the lanes of `mask` exchange. `value` is what this lane gives; the answer is the value of
// lane `source` (kShuffle), the lanes whose value is not 0 (kBallot), or the lanes with the same
// value (kMatch).
enum class Exchange { kShuffle, kBallot, kMatch };
std::uint64_t warp_exchange(Exchange kind, unsigned mask, std::uint64_t value, int source,
                            int line);

int lane();

// Ends the grid with an error, as a trap does.
[[noreturn]] void fail(const char* what, int line);

// The order of blocks, warps and lanes follows from the seed and the number of the launch.
void set_seed(std::uint64_t seed);
const char* message();
void clear_message();

}  // namespace emulator
