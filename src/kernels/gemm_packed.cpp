// The CPU provider for f32, and for f16, which is widened to it. Kernels and layouts are in
// gemm_cpu.cl.
#include "kernels/gemm_panels.h"
#include "kernels/gemm_plan.h"
#include "kernels/gemm_short.h"
#include "kernels/generated.h"

namespace motley::op {
namespace {

struct F32Kernels {
  using Rows = k::gemm_rows_cpu;
  using Panels = k::gemm_panels_cpu;
  using Short = k::gemm_short_cpu;
  using Turned = k::gemm_turned_cpu;
  using PackRows = k::pack_rows_cpu;
  using PackColumns = k::pack_columns_cpu;
  using PackTransposedRows = k::pack_transposed_rows_cpu;
  static constexpr std::size_t pack_a_k = pack_k;
  static constexpr std::size_t element_bytes = sizeof(float);
  static Tensor packed(Stream& s, std::size_t width, std::size_t K) {
    return s.tensor({checked_mul(width, K)});
  }
};

class PackedGemm : public GemmProvider {
 public:
  std::string_view name() const override { return "packed"; }
  bool can_run(const GemmProblem& p) const override { return p.dtype() != Dtype::bf16; }

  void run(Stream& s, const GemmProblem& p) const override {
    const GemmPlan plan = plan_of(s.device(), shape_of(p));
    round_once(s, p, plan, [&](const GemmProblem& problem) { run_blocks(s, problem, plan); });
  }

 private:
  static void run_blocks(Stream& s, const GemmProblem& p, const GemmPlan& plan) {
    Tensor a = p.a;
    if (p.transpose != Transpose::a && a.dtype() != Dtype::f32) {
      a = s.tensor(p.a.shape());
      cast(s, a, p.a);
    }
    if (is_short<F32Kernels>(s.device(), p, plan))
      return multiply_short<F32Kernels>(s, p, a, plan, defines_of(plan));
    multiply_blocks<F32Kernels>(s, p, a, plan, defines_of(plan));
  }
};

}  // namespace

const GemmProvider& packed_gemm() {
  static const PackedGemm provider;
  return provider;
}

}  // namespace motley::op
