#include <array>
#include <string>

#include "bindings/numpy/arrays.h"
#include "bindings/numpy/functions.h"
#include "cpu/stitch.h"

namespace fastcount {
namespace {

py::tuple place_core(const py::array& tile, const std::array<std::int64_t, 4>& core, py::array map,
                     const std::array<std::int64_t, 2>& corner) {
  require_type<float>(tile, "tile", "float32");
  require_shape(tile, "tile", {-1, -1}, "(h, w)");
  require_shape(map, "map", {-1, -1}, "(H, W)");
  float* cells = target<float>(map, "map", "float32");
  const std::int64_t height = tile.shape(0), width = tile.shape(1);
  const auto [top, bottom, left, right] = core;
  const auto [row, column] = corner;
  const auto fits = [](std::int64_t first, std::int64_t last, std::int64_t length, std::int64_t at,
                       std::int64_t room) {
    return 0 <= first && first <= last && last <= length && 0 <= at && last - first <= room - at;
  };
  if (!fits(top, bottom, height, row, map.shape(0)) ||
      !fits(left, right, width, column, map.shape(1))) {
    throw py::value_error("core: rows " + std::to_string(top) + " to " + std::to_string(bottom) +
                          ", columns " + std::to_string(left) + " to " + std::to_string(right) +
                          " of a tile " + shape_of(tile) + " do not fit the map " + shape_of(map) +
                          " at (" + std::to_string(row) + ", " + std::to_string(column) + ")");
  }
  const auto held = dense<float>(tile);
  const float* values = held.data();
  const std::int64_t map_width = map.shape(1);
  cpu::CellSums sums;
  {
    const py::gil_scoped_release free;
    sums = cpu::place_core(values, height, width, top, bottom, left, right,
                           cells + row * map_width + column, map_width);
  }
  return py::make_tuple(sums.found, sums.kept);
}

}  // namespace

void bind_place_core(py::module_& m) {
  m.def(
      "place_core", &place_core, py::arg("tile"), py::arg("core"), py::arg("map"),
      py::arg("corner"),
      "Copies `core` (top, bottom, left, right) of `tile` to `corner` of `map`; the sums of both.");
}

}  // namespace fastcount
