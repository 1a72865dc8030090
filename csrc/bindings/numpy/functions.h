// Each adds the functions of the file of its name.
#pragma once

#include <pybind11/pybind11.h>

namespace fastcount {

void bind_cut(pybind11::module_& m);
void bind_find_peaks(pybind11::module_& m);
void bind_nms(pybind11::module_& m);
void bind_place_core(pybind11::module_& m);

}  // namespace fastcount
