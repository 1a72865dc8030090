#include "cpu/nms.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "bindings/numpy/arrays.h"
#include "bindings/numpy/functions.h"

namespace fastcount {
namespace {

template <typename T>
void check_values(const T* boxes, const T* scores, std::int64_t count) {
  T least = 0, greatest = 0;
  for (std::int64_t i = 0; i < 4 * count; ++i) {
    if (!std::isfinite(boxes[i])) {
      throw py::value_error("boxes: box " + std::to_string(i / 4) +
                            " has a coordinate that is not finite; leave it out");
    }
    least = std::min(least, boxes[i]);
    greatest = std::max(greatest, boxes[i]);
  }
  if (!std::isfinite(greatest - least)) {
    throw py::value_error("boxes: coordinates are too large to tell their distance");
  }
  for (std::int64_t i = 0; i < count; ++i) {
    if (std::isnan(scores[i])) {
      throw py::value_error("scores: score " + std::to_string(i) + " is NaN; leave its box out");
    }
  }
}

template <typename T>
std::vector<std::int64_t> kept(const py::array& boxes, const py::array& scores,
                               const std::optional<py::array>& labels, double threshold) {
  require_type<T>(scores, "scores", "the type of boxes");
  const std::int64_t count = boxes.shape(0);
  const auto held = dense<T>(boxes);
  const auto ranks = dense<T>(scores);
  Dense<std::int64_t> classes;
  if (labels) classes = dense<std::int64_t>(*labels);
  const T* coordinates = held.data();
  const T* rank = ranks.data();
  const std::int64_t* label = labels ? classes.data() : nullptr;
  static_assert(sizeof(Box<T>) == 4 * sizeof(T));
  check_values(coordinates, rank, count);
  const py::gil_scoped_release free;
  return cpu::nms(reinterpret_cast<const Box<T>*>(coordinates), rank, label, count, threshold);
}

py::array_t<std::int64_t> nms(const py::array& boxes, const py::array& scores,
                              const std::optional<py::array>& labels, double threshold) {
  if (!holds<double>(boxes)) require_type<float>(boxes, "boxes", "float32 or float64");
  require_shape(boxes, "boxes", {-1, 4}, "(N, 4)");
  require_shape(scores, "scores", {boxes.shape(0)}, "(N,), one for each box");
  if (labels) {
    require_type<std::int64_t>(*labels, "labels", "int64");
    require_shape(*labels, "labels", {boxes.shape(0)}, "(N,), one for each box");
  }
  if (!(threshold >= 0 && threshold <= 1)) {
    throw py::value_error("iou_threshold: expected a number from 0 to 1, got " +
                          std::to_string(threshold));
  }
  const auto found = holds<double>(boxes) ? kept<double>(boxes, scores, labels, threshold)
                                          : kept<float>(boxes, scores, labels, threshold);
  py::array_t<std::int64_t> result(static_cast<py::ssize_t>(found.size()));
  std::copy(found.begin(), found.end(), result.mutable_data());
  return result;
}

}  // namespace

void bind_nms(py::module_& m) {
  m.def("nms", &nms, py::arg("boxes"), py::arg("scores"), py::arg("labels"),
        py::arg("iou_threshold"), "Indices (K,) of the boxes that are left, best first.");
}

}  // namespace fastcount
