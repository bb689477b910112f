// How products of GPUs are cut into tiles: the sizes there are, and which suit a device and a
// product. All give the same bits, so a choice is one of speed alone.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "kernels/gemm.h"
#include "tensor/program.h"

namespace motley::op {

/// The sizes that gemm_gpu.cl is built for.
struct TiledPlan {
  std::size_t tile_m;  // rows and columns of c a work-group computes
  std::size_t tile_n;
  std::size_t tile_k;  // of k that are in local memory at a time
  std::size_t item_m;  // rows and columns a work-item has in registers, multiples of 4
  std::size_t item_n;

  std::size_t items() const { return tile_m / item_m * (tile_n / item_n); }
  /// Of local memory a work-group takes.
  std::size_t local_bytes() const;
  Defines defines() const;
  bool operator==(const TiledPlan&) const = default;
};

std::string to_string(const TiledPlan& plan);

/// The same as a plan of the device's table, and back; of a table's plan that is the gpu family's
/// and not all 0.
GemmPlan plan_from(const TiledPlan& plan);
TiledPlan tiled_from(const GemmPlan& plan);

/// Every plan there is, those with the largest tiles first.
std::span<const TiledPlan> tiled_plans();

/// Whether the device has the local memory and the work-group for a plan.
bool fits(const TiledPlan& plan, const DeviceInfo& info);

/// The plan for an M x N product where nobody has timed any: the largest tiles that are not mostly
/// outside it and keep all compute units busy, else the smallest. Depends on the device and the
/// sizes alone.
TiledPlan default_tiled_plan(const DeviceInfo& info, std::size_t M, std::size_t N);

/// Enqueues a product by a plan that fits the device.
void run_tiled(Stream& s, const GemmProblem& problem, const TiledPlan& plan);

}  // namespace motley::op
