// The functions of fastcount._C_numpy: the index of what runs without torch. fastcount/runtime
// wraps and documents them.
#include <pybind11/pybind11.h>

#include "bindings/numpy/functions.h"

PYBIND11_MODULE(_C_numpy, m, pybind11::mod_gil_not_used()) {
  m.doc() = "Native code of fastcount.runtime.";
  fastcount::bind_cut(m);
  fastcount::bind_find_peaks(m);
  fastcount::bind_nms(m);
  fastcount::bind_place_core(m);
}
