// The GPU provider of our own: one launch of gemm_gpu.cl, any transposition by strides.
#include "kernels/gemm.h"
#include "kernels/generated.h"

namespace motley::op {
namespace {

// As in gemm_gpu.cl.
constexpr std::size_t tile = 64;
constexpr std::size_t side = 16;

class TiledGemm : public GemmProvider {
 public:
  std::string_view name() const override { return "tiled"; }
  bool can_run(const GemmProblem&) const override { return true; }

  void run(Stream& s, const GemmProblem& p) const override {
    const bool of_a = p.transpose == Transpose::a;
    const bool of_b = p.transpose == Transpose::b;
    launch(s, {.groups = {ceil_div(p.N, tile), ceil_div(p.M, tile), 1}, .local = {side, side, 1}},
           k::gemm_gpu{.c = p.c,
                       .a = p.a,
                       .b = p.b,
                       .bias = p.bias,
                       .M = narrow<std::uint32_t>(p.M),
                       .N = narrow<std::uint32_t>(p.N),
                       .K = narrow<std::uint32_t>(p.K),
                       .a_row = std::uint64_t{of_a ? 1 : p.K},
                       .a_k = std::uint64_t{of_a ? p.M : 1},
                       .b_column = std::uint64_t{of_b ? p.K : 1},
                       .b_k = std::uint64_t{of_b ? 1 : p.N},
                       .accumulate = std::uint32_t{p.into == Into::accumulate ? 1u : 0u}},
           {}, p.flops());
  }
};

}  // namespace

const GemmProvider& tiled_gemm() {
  static const TiledGemm provider;
  return provider;
}

}  // namespace motley::op
