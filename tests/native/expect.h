// EXPECT(condition): says where it failed; failures() is the exit code of a test.
#pragma once

#include <cstdio>

inline int& failures() {
  static int count = 0;
  return count;
}

#define EXPECT(condition)                                         \
  do {                                                            \
    if (!(condition)) {                                           \
      std::printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      ++failures();                                               \
    }                                                             \
  } while (false)
