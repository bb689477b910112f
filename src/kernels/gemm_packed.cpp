// The CPU provider for f32. Kernels and layouts are in gemm_cpu.cl.
#include "kernels/gemm_panels.h"
#include "kernels/generated.h"

namespace motley::op {
namespace {

struct F32Kernels {
  using Rows = k::gemm_rows_cpu;
  using Panels = k::gemm_panels_cpu;
  using PackRows = k::pack_rows_cpu;
  using PackColumns = k::pack_columns_cpu;
  using PackTransposedRows = k::pack_transposed_rows_cpu;
  // Keeps a panel of b (1024 * 32 floats, 128 KiB) in the second-level cache beside a's rows. The
  // sums of a block are added to c block after block, which keeps k's order.
  static constexpr std::size_t k_block = 1024;
  static constexpr std::size_t element_bytes = sizeof(float);
  static Tensor packed(Stream& s, std::size_t width, std::size_t K) {
    return s.tensor({checked_mul(width, K)});
  }
};

class PackedGemm : public GemmProvider {
 public:
  /// 0: as many lanes as the device has.
  explicit PackedGemm(std::size_t lanes) : lanes_(lanes) {}
  std::string_view name() const override { return "packed"; }
  bool can_run(const GemmProblem& p) const override { return !p.has_bf16(); }

  void run(Stream& s, const GemmProblem& p) const override {
    const Tile tile = tile_for(lanes_ == 0 ? lanes_of(s.device()) : lanes_);
    multiply_blocks<F32Kernels>(s, p, p.a, tile, tile.defines());
  }

 private:
  std::size_t lanes_;
};

}  // namespace

const GemmProvider& packed_gemm() {
  static const PackedGemm provider(0);
  return provider;
}

const GemmProvider& packed_gemm_for_eight_lanes() {
  static const PackedGemm provider(8);
  return provider;
}

}  // namespace motley::op
