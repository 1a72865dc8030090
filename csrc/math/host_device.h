// FASTCOUNT_HD marks a formula that both the processor and the GPU evaluate.
#pragma once

#ifdef __CUDACC__
#define FASTCOUNT_HD __host__ __device__ __forceinline__
#elif defined(__GNUC__)
#define FASTCOUNT_HD inline __attribute__((always_inline))
#else
#define FASTCOUNT_HD inline
#endif
