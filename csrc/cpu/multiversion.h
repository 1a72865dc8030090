// One function, several instruction sets, chosen when the library is loaded.
//
// FASTCOUNT_MULTIVERSION goes before a function that holds a hot loop: the compiler emits it for
// plain x86-64, AVX2 + FMA and AVX-512, and the loader picks by the processor. Put the loop into a
// FASTCOUNT_INLINE template and wrap it by one plain function a type: clones of templates are not
// portable between compilers. Elsewhere (aarch64, musl, macOS) it leaves plain code, which is
// vectorised for the least processor of that kind; so it does for sanitizers, which are not ready
// yet when the loader picks.
#pragma once

#include <cstddef>  // defines __GLIBC__ where there is one

// Older compilers choose "arch=..." by the processor's name, not by what it can do.
#if defined(__clang__)
#define FASTCOUNT_KNOWS_LEVELS (__clang_major__ >= 18)
#elif defined(__GNUC__)
#define FASTCOUNT_KNOWS_LEVELS (__GNUC__ >= 12)
#else
#define FASTCOUNT_KNOWS_LEVELS 0
#endif

#if defined(__x86_64__) && defined(__GLIBC__) && FASTCOUNT_KNOWS_LEVELS && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FASTCOUNT_MULTIVERSION \
  __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define FASTCOUNT_MULTIVERSION
#endif

#if defined(__GNUC__)
#define FASTCOUNT_INLINE inline __attribute__((always_inline))
#else
#define FASTCOUNT_INLINE inline
#endif
