// The CPU provider for products with bf16 among their matrices: panels hold pairs of bf16. Kernels
// and layouts are in gemm_bf16_cpu.cl.
#include "kernels/gemm_panels.h"
#include "kernels/gemm_plan.h"
#include "kernels/gemm_short.h"
#include "kernels/generated.h"

namespace motley::op {
namespace {

struct Bf16Kernels {
  using Rows = k::gemm_rows_bf16_cpu;
  using Panels = k::gemm_panels_bf16_cpu;
  using Short = k::gemm_short_bf16_cpu;
  using PackRows = k::pack_rows_bf16_cpu;
  using PackColumns = k::pack_columns_bf16_cpu;
  using PackTransposedRows = k::pack_transposed_rows_bf16_cpu;
  static constexpr std::size_t pack_a_k = pack_k;
  static constexpr std::size_t element_bytes = size_of(Dtype::bf16);
  static Tensor packed(Stream& s, std::size_t width, std::size_t K) {
    return s.tensor({checked_mul(width, ceil_div(K, 2))}, Dtype::u32);
  }
};

/// By AMX: a packed a lies in whole blocks of 32 k.
struct AmxKernels : Bf16Kernels {
  using Rows = k::gemm_rows_amx_cpu;
  using Panels = k::gemm_panels_amx_cpu;
  using PackTransposedRows = k::pack_transposed_rows_amx_cpu;
  static constexpr std::size_t pack_a_k = 32;
  static Tensor packed(Stream& s, std::size_t width, std::size_t K) {
    return Bf16Kernels::packed(s, width, round_up(K, pack_a_k));
  }
};
// As many sums as the unit's registers take, whatever a plan says.
constexpr std::size_t amx_rows = 32;
constexpr std::size_t amx_columns = 32;

class PackedBf16Gemm : public GemmProvider {
 public:
  /// `emulated`: what the unit would do, without it.
  explicit PackedBf16Gemm(MatrixUnit unit, bool emulated = false)
      : unit_(unit), emulated_(emulated) {}
  std::string_view name() const override {
    switch (unit_) {
      case MatrixUnit::amx:
        return "packed bf16, AMX";
      case MatrixUnit::avx512_bf16:
        return "packed bf16, AVX-512";
      default:
        return "packed bf16";
    }
  }
  bool can_run(const GemmProblem& p) const override { return p.dtype() != Dtype::f16; }

  void run(Stream& s, const GemmProblem& p) const override {
    const GemmPlan plan = plan_of(s.device(), shape_of(p));
    round_once(s, p, plan, [&](const GemmProblem& problem) { run_blocks(s, problem, plan); });
  }

 private:
  void run_blocks(Stream& s, const GemmProblem& p, GemmPlan plan) const {
    Tensor a = p.a;
    if (p.transpose != Transpose::a && a.dtype() != Dtype::bf16) {
      a = s.tensor(p.a.shape(), Dtype::bf16);
      cast(s, a, p.a);
    }
    if (unit_ == MatrixUnit::amx) {
      plan.tile_rows = amx_rows;
      plan.tile_columns = amx_columns;
      Defines defines = defines_of(plan);
      if (emulated_) defines.add("AMX_EMULATED", 1);
      return multiply_blocks<AmxKernels>(s, p, a, plan, defines);
    }
    Defines defines = defines_of(plan);
    if (unit_ == MatrixUnit::avx512_bf16) defines.add("X86_AVX512_BF16", 1);
    if (is_short<Bf16Kernels>(s.device(), p, plan))
      return multiply_short<Bf16Kernels>(s, p, a, plan, defines);
    multiply_blocks<Bf16Kernels>(s, p, a, plan, defines);
  }

  MatrixUnit unit_;
  bool emulated_;
};

}  // namespace

const GemmProvider& packed_bf16_gemm(MatrixUnit unit) {
  static const PackedBf16Gemm plain(MatrixUnit::none);
  static const PackedBf16Gemm avx512(MatrixUnit::avx512_bf16);
  static const PackedBf16Gemm amx(MatrixUnit::amx);
  if (unit == MatrixUnit::amx) return amx;
  return unit == MatrixUnit::avx512_bf16 ? avx512 : plain;
}

const GemmProvider& emulated_amx_gemm() {
  static const PackedBf16Gemm provider(MatrixUnit::amx, true);
  return provider;
}

}  // namespace motley::op
