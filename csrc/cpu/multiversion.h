// One function, several instruction sets, chosen when the library is loaded.
//
// FASTCOUNT_MULTIVERSION goes before a function that holds a hot loop: the compiler emits it for
// plain x86-64, AVX2 + FMA and AVX-512, and the loader picks by the processor. Put the loop into a
// FASTCOUNT_INLINE template and wrap it by one plain function a type: clones of templates are not
// portable between compilers. Elsewhere (aarch64, musl, macOS) both macros leave plain code.
#pragma once

#include <cstddef>  // defines __GLIBC__ where there is one

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__)
#define FASTCOUNT_MULTIVERSION \
  __attribute__((target_clones("default", "arch=haswell", "arch=skylake-avx512")))
#else
#define FASTCOUNT_MULTIVERSION
#endif

#if defined(__GNUC__)
#define FASTCOUNT_INLINE inline __attribute__((always_inline))
#else
#define FASTCOUNT_INLINE inline
#endif
