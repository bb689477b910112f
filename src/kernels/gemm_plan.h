// Which plan a product has on a device, and which others could be faster. Nothing is timed here;
// kernels/gemm_tuner.h does that.
#pragma once

#include <vector>

#include "kernels/gemm.h"
#include "tensor/device.h"

namespace motley::op {

/// What a problem's plan depends on.
GemmShape shape_of(const GemmProblem& problem);

/// Of the cpu family what suits the device's vectors and the distance of a's rows. Of the gpu
/// family all numbers are 0: the provider and, of our own tiles, default_tiled_plan().
GemmPlan default_plan(const Device& device, const GemmShape& shape);
/// The plan of the device's table for this shape, else the default.
GemmPlan plan_of(const Device& device, const GemmShape& shape);

/// Whether the device's family can multiply by the plan, for plans from files.
bool is_usable(const Device& device, const GemmPlan& plan);

/// Which numbers of a plan are tried.
enum class PlanChange {
  tile,       // cpu: changes no bits. gpu: nor does it, but our tiles may take CLBlast's place
  row_block,  // changes no bits
  k_block,    // changes roundings of products with more k
};
/// Plans that differ from `plan` in one way and that the device may multiply faster with; without
/// `plan` itself, and without such as come to the same for this shape.
std::vector<GemmPlan> alternatives(const Device& device, const GemmShape& shape,
                                   const GemmPlan& plan, PlanChange change);

}  // namespace motley::op
