// The index of the native API: every operator's schema, one line each.
//
// How to add an operator NAME:
//   1. its schema here;
//   2. csrc/math/NAME.h         the formula for one element, FASTCOUNT_HD (host and device);
//   3. csrc/cpu/NAME.{h,cpp}    loops: pointers and sizes in, a range of work a call; no torch;
//   4. csrc/bindings/torch/NAME.cpp       checks, allocation, torch::stable::parallel_for and
//                               STABLE_TORCH_LIBRARY_IMPL(fastcount, CPU, m) { m.impl(...); }
//   5. csrc/cuda/NAME.{h,cu} and csrc/bindings/torch/cuda/NAME.cpp: the same for CUDA, launched
//                               by the LAUNCH macro of csrc/cuda/launch.h;
//   6. fastcount/ops/NAME.py    the public function: checks arguments (fastcount/ops/points.py),
//                               calls torch.ops.fastcount.NAME, registers its fake and its
//                               backward;
//   7. fastcount/ops/reference/NAME.py, tests/ops/test_NAME.py, benchmarks/bench_NAME.py.
// setup.py finds the sources by pattern. Rebuild: python setup.py build_ext --inplace
//
// Point sets of a batch travel as one tensor `points` [T, 2], one set after the other, and
// `counts`, how many points each set has. Coordinates and widths are float64 on entry.
#include <torch/csrc/stable/library.h>

// One line a schema.
// clang-format off
STABLE_TORCH_LIBRARY(fastcount, m) {
  m.def("density_pyramid(Tensor points, Tensor sigma, SymInt[] counts, SymInt height, SymInt width, SymInt[] strides, float truncate, bool renormalize, ScalarType dtype) -> Tensor[]");
  m.def("gaussian_heatmap(Tensor points, Tensor sigma, Tensor? labels, SymInt[] counts, SymInt height, SymInt width, SymInt num_classes, SymInt stride, float truncate, bool add, bool round_centers, ScalarType dtype) -> Tensor");
  m.def("knn_distance(Tensor points, SymInt[] counts, int k) -> Tensor");
  m.def("find_peaks(Tensor scores, int kernel_size, float threshold, bool smooth, int? max_peaks) -> (Tensor points, Tensor values, Tensor batch, Tensor channel)");
  m.def("find_peaks_padded(Tensor scores, int kernel_size, float threshold, bool smooth, SymInt max_peaks) -> (Tensor points, Tensor values, Tensor valid)");
  m.def("focal_loss(Tensor pred, Tensor target, Tensor? mask, int form, int poly, bool from_logits, float alpha, float beta, float gamma, float eps, float? normalizer, bool reduce, bool keep) -> (Tensor loss, Tensor weight, Tensor slope)");
  m.def("focal_loss_backward(Tensor grad, Tensor slope, Tensor weight, ScalarType dtype) -> Tensor");
  m.def("weighted_smooth_l1(Tensor pred, Tensor target, float weight, bool reduce) -> Tensor");
  m.def("weighted_smooth_l1_backward(Tensor grad, Tensor pred, Tensor target, float weight) -> Tensor");
  m.def("neighbour_distance_map(Tensor points, SymInt[] counts, SymInt height, SymInt width, int k, SymInt stride, ScalarType dtype) -> Tensor");
  m.def("cross_label(Tensor points, SymInt[] counts, SymInt height, SymInt width) -> Tensor");
  m.def("peak_map(Tensor maps, Tensor values, int radius) -> Tensor");
  m.def("top_peaks_mask(Tensor peaks, Tensor counts) -> Tensor");
  m.def("spatial_softmax(Tensor heatmap, int kernel_size, float beta) -> Tensor");
  m.def("spatial_softmax_backward(Tensor grad, Tensor heatmap, int kernel_size, float beta) -> Tensor");
  m.def("soft_count(Tensor heatmap, int kernel_size, float beta, float steepness, float threshold) -> (Tensor detection, Tensor count)");
  m.def("soft_count_backward(Tensor? grad_detection, Tensor? grad_count, Tensor heatmap, int kernel_size, float beta, float steepness, float threshold) -> Tensor");
}
// clang-format on
