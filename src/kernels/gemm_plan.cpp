#include "kernels/gemm_plan.h"

#include <algorithm>
#include <array>
#include <span>

#include "kernels/gemm_tiled.h"
#include "tensor/checked.h"
#include "tensor/error.h"

namespace motley::op {
namespace {

struct Tile {
  std::size_t rows;
  std::size_t columns;
};

// The sums must fit the vector registers, beside a row of b and one value of a: at most 28 of 32
// registers of 16 floats, 12 of 16 of 8. The first is the default, but where rows would
// take one another's place in the first cache.
constexpr std::array<Tile, 5> tiles_of_16_lanes{{{12, 32}, {14, 32}, {8, 48}, {6, 64}, {24, 16}}};
constexpr std::array<Tile, 3> tiles_of_8_lanes{{{6, 16}, {4, 16}, {2, 32}}};

// What addresses this far apart have in common is the set of the first cache that they go to, which
// holds eight lines on most processors.
constexpr std::size_t set_distance = 4096;
constexpr std::size_t lines_in_set = 8;

// A block of a's rows takes this much of the second cache.
constexpr std::size_t row_block_bytes = std::size_t{256} << 10;
constexpr std::array<std::size_t, 3> row_block_bytes_tried{
    {std::size_t{128} << 10, std::size_t{512} << 10, std::size_t{1} << 20}};

// Keeps a panel of b (1024 * 32 floats, 128 KiB) in the second-level cache beside a's rows. The
// sums of a block are added to c block after block, which keeps k's order. A panel of as many bytes
// holds twice as many bf16, whose sums, if stored in bf16, are rounded when all k are added, so
// that a longer K takes a detour through f32.
constexpr std::size_t k_block_f32 = 1024;
constexpr std::size_t k_block_bf16 = 2048;
constexpr std::array<std::size_t, 4> k_blocks_tried{{384, 512, 1024, 2048}};

// Of kernels: registers spill far below these, and packed blocks have at least a panel.
constexpr std::size_t max_tile_rows = 64;
constexpr std::size_t max_tile_columns = 128;
constexpr std::size_t max_k_block = 8192;
constexpr std::size_t k_step = 16;

/// How many floats a vector of the device has.
std::size_t lanes_of(const Device& device) {
  cl_uint lanes = 0;
  check_cl(device.info().handle.getInfo(CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, &lanes),
           "clGetDeviceInfo");
  return lanes;
}

std::span<const Tile> tiles_for(const Device& device) {
  if (lanes_of(device) >= 16) return tiles_of_16_lanes;
  return tiles_of_8_lanes;
}

/// Rows of a that are a multiple of `set_distance` apart are read from one set: no more of them at
/// a time than it holds.
Tile default_tile(const Device& device, const GemmShape& shape) {
  const std::span<const Tile> tiles = tiles_for(device);
  const std::size_t row_bytes =
      checked_mul(shape.K, size_of(shape.dtype == Dtype::bf16 ? Dtype::bf16 : Dtype::f32));
  if (shape.transpose == Transpose::a || row_bytes % set_distance != 0) return tiles.front();
  const auto fits = [](const Tile& tile) { return tile.rows <= lines_in_set; };
  const auto found = std::find_if(tiles.begin(), tiles.end(), fits);
  return found == tiles.end() ? tiles.front() : *found;
}

std::vector<GemmPlan> tiled_alternatives(const Device& device, const GemmPlan& plan) {
  std::vector<GemmPlan> found;
  for (const TiledPlan& tiled : tiled_plans()) {
    const GemmPlan other = plan_from(tiled);
    if (fits(tiled, device.info()) && !(other == plan)) found.push_back(other);
  }
  return found;
}

/// Whether a unit multiplies by tiles that no plan changes.
bool has_own_tiles(MatrixUnit unit) {
  return unit != MatrixUnit::none && unit != MatrixUnit::avx512_bf16;
}

bool changes_anything(const GemmShape& shape, const GemmPlan& plan, const GemmPlan& other) {
  const bool same_k = std::min(shape.K, plan.k_block) == std::min(shape.K, other.k_block);
  GemmPlan with_same_k = other;
  if (same_k) with_same_k.k_block = plan.k_block;
  return !(with_same_k == plan);
}

}  // namespace

GemmShape shape_of(const GemmProblem& p) {
  return {.dtype = p.dtype(), .transpose = p.transpose, .M = p.M, .N = p.N, .K = p.K};
}

GemmPlan default_plan(const Device& device, const GemmShape& shape) {
  if (device.family() == KernelFamily::gpu) return {};
  const Tile tile = default_tile(device, shape);
  return {.tile_rows = tile.rows,
          .tile_columns = tile.columns,
          .k_block = shape.dtype == Dtype::bf16 ? k_block_bf16 : k_block_f32,
          .row_block_bytes = row_block_bytes};
}

GemmPlan plan_of(const Device& device, const GemmShape& shape) {
  const auto found = device.gemm_plans().find(shape);
  return found == device.gemm_plans().end() ? default_plan(device, shape) : found->second;
}

bool is_usable(const Device& device, const GemmPlan& plan) {
  if (device.family() == KernelFamily::gpu) {
    const auto known = tiled_plans();
    return plan == GemmPlan{} || std::any_of(known.begin(), known.end(), [&](const TiledPlan& t) {
             return plan == plan_from(t) && fits(t, device.info());
           });
  }
  return plan.tile_rows > 0 && plan.tile_rows <= max_tile_rows && plan.tile_rows % 2 == 0 &&
         plan.tile_columns > 0 && plan.tile_columns <= max_tile_columns &&
         plan.tile_columns % 16 == 0 && plan.k_block > 0 && plan.k_block <= max_k_block &&
         plan.k_block % k_step == 0 && plan.row_block_bytes > 0;
}

std::vector<GemmPlan> alternatives(const Device& device, const GemmShape& shape,
                                   const GemmPlan& plan, PlanChange change) {
  const MatrixUnit unit = shape.dtype == Dtype::bf16
                              ? device.matrix_unit().value_or(MatrixUnit::none)
                              : MatrixUnit::none;
  if (change == PlanChange::tile && has_own_tiles(unit)) return {};
  if (device.family() == KernelFamily::gpu) {
    return change == PlanChange::tile ? tiled_alternatives(device, plan) : std::vector<GemmPlan>();
  }
  std::vector<GemmPlan> found;
  const auto add = [&](auto&& edit) {
    GemmPlan other = plan;
    edit(other);
    if (changes_anything(shape, plan, other)) found.push_back(other);
  };
  switch (change) {
    case PlanChange::tile:
      for (const Tile& tile : tiles_for(device))
        add([&](GemmPlan& p) {
          p.tile_rows = tile.rows;
          p.tile_columns = tile.columns;
        });
      break;
    case PlanChange::row_block:
      for (const std::size_t bytes : row_block_bytes_tried)
        add([&](GemmPlan& p) { p.row_block_bytes = bytes; });
      break;
    case PlanChange::k_block:
      for (const std::size_t length : k_blocks_tried) add([&](GemmPlan& p) { p.k_block = length; });
      break;
  }
  return found;
}

}  // namespace motley::op
