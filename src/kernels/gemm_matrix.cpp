// The GPU provider for products of bf16 by matrix units: one launch of gemm_matrix_gpu.cl.
#include "kernels/gemm_matrix.h"

#include <array>
#include <string>
#include <vector>

#include "kernels/gemm_gpu.h"
#include "kernels/generated.h"
#include "kernels/matrix_unit.h"

namespace motley::op {
namespace {

/// The sizes that gemm_matrix_gpu.cl is built for.
struct MatrixPlan {
  std::size_t tile_m;  // rows and columns of c a work-group computes
  std::size_t tile_n;
  std::size_t part_m;  // rows and columns of them a sub-group computes
  std::size_t part_n;
  std::size_t stages;  // pairs of blocks in local memory
};

/// How a unit is built and used.
struct UnitTraits {
  MatrixUnit unit;
  const char* definition;
  std::size_t lanes;                // of a sub-group
  std::array<MatrixPlan, 2> plans;  // of large products, of others
};

// Of k, in each block. 48 KiB of local memory, which every GPU with a unit has, hold all blocks.
constexpr std::size_t tile_k = 32;

// In the order of MatrixUnit. RDNA 3's compiler spills with larger parts.
constexpr std::array<UnitTraits, 5> all_traits{{
    {MatrixUnit::nvidia_mma, "UNIT_NVIDIA", 32, {{{128, 128, 64, 32, 2}, {64, 64, 32, 32, 3}}}},
    {MatrixUnit::intel_xmx_8, "UNIT_INTEL", 8, {{{128, 128, 32, 16, 2}, {64, 64, 32, 16, 2}}}},
    {MatrixUnit::intel_xmx_16, "UNIT_INTEL", 16, {{{128, 128, 32, 32, 2}, {64, 64, 32, 32, 2}}}},
    {MatrixUnit::amd_wmma, "UNIT_WMMA", 32, {{{128, 64, 32, 32, 2}, {64, 64, 32, 32, 2}}}},
    {MatrixUnit::amd_mfma, "UNIT_MFMA", 64, {{{128, 128, 64, 64, 2}, {64, 64, 32, 32, 2}}}},
}};

// What kernels move at once: of factors, and of c.
constexpr std::size_t vector = 8;
constexpr std::size_t pair = 2;

/// The large tiles where they keep all compute units busy.
const MatrixPlan& plan_for(const UnitTraits& traits, const DeviceInfo& info, std::size_t M,
                           std::size_t N) {
  const MatrixPlan& large = traits.plans.front();
  const std::size_t tiles = checked_mul(ceil_div(M, large.tile_m), ceil_div(N, large.tile_n));
  return tiles >= info.compute_units ? large : traits.plans.back();
}

/// `x`, or, where it is f32, what it is in bf16.
Tensor in_bf16(Stream& s, const Tensor& x) {
  if (x.dtype() == Dtype::bf16 || x.empty()) return x;
  Tensor rounded = s.tensor(x.shape(), Dtype::bf16);
  cast(s, rounded, x);
  return rounded;
}

class MatrixUnitGemm : public GemmProvider {
 public:
  MatrixUnitGemm(const UnitTraits& traits, bool emulated)
      : traits_(traits),
        emulated_(emulated),
        name_(fmt::format("{}{}", name_of(traits.unit), emulated ? ", emulated" : "")) {}

  std::string_view name() const override { return name_; }
  bool can_run(const GemmProblem& p) const override { return p.dtype() != Dtype::f16; }

  void run(Stream& s, const GemmProblem& p) const override {
    check_sizes(p);
    const MatrixPlan& plan = plan_for(traits_, s.device().info(), p.M, p.N);
    const bool of_a = p.transpose == Transpose::a;
    const bool of_b = p.transpose == Transpose::b;
    const Tensor a = in_bf16(s, p.a);
    const Tensor b = in_bf16(s, p.b);
    const std::size_t parts = plan.tile_m / plan.part_m * (plan.tile_n / plan.part_n);
    launch(s,
           {.groups = {checked_mul(ceil_div(p.N, plan.tile_n), ceil_div(p.M, plan.tile_m)), 1, 1},
            .local = {parts * traits_.lanes, 1, 1}},
           k::gemm_matrix_gpu{.c = p.c,
                              .a = a,
                              .b = b,
                              .bias = p.bias,
                              .M = narrow<std::uint32_t>(p.M),
                              .N = narrow<std::uint32_t>(p.N),
                              .K = narrow<std::uint32_t>(p.K),
                              .wide_a = rows_start_at(a, of_a ? p.M : p.K, vector),
                              .wide_b = rows_start_at(b, of_b ? p.K : p.N, vector),
                              .wide_c = rows_start_at(p.c, p.N, pair),
                              .accumulate = std::uint32_t{p.into == Into::accumulate ? 1u : 0u}},
           defines(plan, p.transpose), p.flops());
  }

 private:
  Defines defines(const MatrixPlan& plan, Transpose transpose) const {
    Defines defines{{traits_.definition, 1},      {"UNIT_LANES", i64(traits_.lanes)},
                    {"TILE_M", i64(plan.tile_m)}, {"TILE_N", i64(plan.tile_n)},
                    {"TILE_K", i64(tile_k)},      {"PART_M", i64(plan.part_m)},
                    {"PART_N", i64(plan.part_n)}, {"STAGES", i64(plan.stages)}};
    if (emulated_) defines.add("UNIT_EMULATED", 1);
    if (transpose == Transpose::a) defines.add("A_TRANSPOSED", 1);
    if (transpose == Transpose::b) defines.add("B_TRANSPOSED", 1);
    return defines;
  }

  const UnitTraits& traits_;
  bool emulated_;
  std::string name_;
};

/// One provider for each unit.
class Providers {
 public:
  explicit Providers(bool emulated) {
    for (const UnitTraits& traits : all_traits) providers_.emplace_back(traits, emulated);
  }
  const GemmProvider& operator[](MatrixUnit unit) const {
    const auto first = static_cast<std::size_t>(all_traits.front().unit);
    return providers_.at(static_cast<std::size_t>(unit) - first);
  }

 private:
  std::vector<MatrixUnitGemm> providers_;
};

}  // namespace

const GemmProvider& matrix_unit_gemm(MatrixUnit unit) {
  static const Providers providers(false);
  return providers[unit];
}

const GemmProvider& emulated_matrix_unit_gemm(MatrixUnit unit) {
  static const Providers providers(true);
  return providers[unit];
}

}  // namespace motley::op
