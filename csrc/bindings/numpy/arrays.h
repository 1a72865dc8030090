// What functions take from NumPy, checked: an error names the argument, what came, and the cure.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <string>
#include <vector>

namespace fastcount {

namespace py = pybind11;

inline std::string shape_of(const py::array& array) {
  std::string text = "(";
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(array.shape(i));
  }
  return text + (array.ndim() == 1 ? ",)" : ")");
}

template <typename T>
bool holds(const py::array& array) {
  return py::isinstance<py::array_t<T>>(array);
}

template <typename T>
void require_type(const py::array& array, const std::string& name, const char* wanted) {
  if (!holds<T>(array)) {
    throw py::type_error(name + ": expected " + wanted + ", got " +
                         std::string(py::str(array.dtype())) + "; convert it with .astype");
  }
}

// -1 in `shape` stands for any length.
inline void require_shape(const py::array& array, const std::string& name,
                          const std::vector<py::ssize_t>& shape, const char* wanted) {
  bool fits = array.ndim() == static_cast<py::ssize_t>(shape.size());
  for (py::ssize_t i = 0; fits && i < array.ndim(); ++i) {
    fits = shape[static_cast<std::size_t>(i)] < 0 ||
           array.shape(i) == shape[static_cast<std::size_t>(i)];
  }
  if (!fits) {
    throw py::value_error(name + ": expected the shape " + wanted + ", got " + shape_of(array));
  }
}

// A number that straddles its own size, as in a view of bytes, is not one to C++.
constexpr int kAligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;

template <typename T>
using Dense = py::array_t<T, py::array::c_style | kAligned>;

// Laid out densely: the array itself where it is so already.
template <typename T>
Dense<T> dense(const py::array& array) {
  auto made = Dense<T>::ensure(array);
  if (!made) throw py::error_already_set();
  return made;
}

// Where results go: written in place, so it must be dense itself.
template <typename T>
T* target(py::array& array, const std::string& name, const char* wanted) {
  require_type<T>(array, name, wanted);
  constexpr int kDense = py::array::c_style | kAligned;
  if (!array.writeable() || (array.flags() & kDense) != kDense) {
    throw py::value_error(name +
                          ": must be writeable, contiguous and aligned; make it with numpy.empty");
  }
  return static_cast<T*>(array.mutable_data());
}

}  // namespace fastcount
