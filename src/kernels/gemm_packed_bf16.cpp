// The CPU provider for products with bf16 among their matrices: as gemm_packed.cpp, with panels of
// bf16 pairs. Kernels and layouts are in gemm_bf16_cpu.cl.
#include "kernels/gemm.h"
#include "kernels/gemm_blocks.h"
#include "kernels/generated.h"

namespace motley::op {
namespace {

// A panel of b is 2048 * 32 bf16, 128 KiB. Sums in bf16 are rounded when all k are added, so a
// longer K takes a detour through f32.
constexpr std::size_t k_block = 2048;

std::size_t pairs_of(std::size_t K) {
  return ceil_div(K, 2);
}

class PackedBf16Gemm : public GemmProvider {
 public:
  /// 0 lanes: as many as the device has.
  PackedBf16Gemm(MatrixUnit unit, std::size_t lanes) : unit_(unit), lanes_(lanes) {}
  std::string_view name() const override {
    return unit_ == MatrixUnit::avx512_bf16 ? "packed bf16, AVX-512" : "packed bf16";
  }
  bool can_run(const GemmProblem&) const override { return true; }

  void run(Stream& s, const GemmProblem& p) const override {
    if (p.c.dtype() == Dtype::f32 || p.K <= k_block) return run_blocks(s, p);
    Tensor sums = s.device().tensor(p.c.shape());
    run_blocks(s, {.c = sums,
                   .a = p.a,
                   .b = p.b,
                   .bias = p.bias,
                   .M = p.M,
                   .N = p.N,
                   .K = p.K,
                   .transpose = p.transpose,
                   .into = Into::replace});
    launch(s, {.groups = {p.M, 1, 1}},
           k::round_rows_cpu{.c = p.c,
                             .sums = sums,
                             .N = u32(p.N),
                             .accumulate = p.into == Into::accumulate ? 1u : 0u});
  }

 private:
  Defines defines(const Tile& tile) const {
    Defines list = tile.defines();
    if (unit_ == MatrixUnit::avx512_bf16) list.add("X86_AVX512_BF16", 1);
    return list;
  }

  void run_blocks(Stream& s, const GemmProblem& p) const {
    Device& device = s.device();
    const Tile tile = tile_for(lanes_ == 0 ? lanes_of(device) : lanes_);
    const BlockSizes sizes = BlockSizes::of(p, tile, k_block, size_of(Dtype::bf16));
    const bool packs_a = p.transpose == Transpose::a;
    Tensor packed_b = device.tensor({checked_mul(sizes.columns, pairs_of(sizes.K))}, Dtype::u32);
    Tensor a = p.a;
    if (packs_a) {
      a = device.tensor({checked_mul(round_up(p.M, tile.rows), pairs_of(sizes.K))}, Dtype::u32);
    } else if (a.dtype() != Dtype::bf16) {
      a = device.tensor(p.a.shape(), Dtype::bf16);
      cast(s, a, p.a);
    }
    for_each_block(
        p, sizes,
        [&](std::size_t first_k, std::size_t K) {
          if (packs_a) pack_a(s, a, p, {0, p.M, first_k, K}, tile);
        },
        [&](const Block& block) {
          pack_b(s, packed_b, p, block, tile);
          multiply(s, p, a, packed_b, block, tile);
        });
  }

  void pack_a(Stream& s, Tensor& packed, const GemmProblem& p, const Block& block,
              const Tile& tile) const {
    const std::size_t panels = ceil_div(p.M, tile.rows);
    launch(s, {.groups = {ceil_div(panels, pack_panels), ceil_div(block.K, pack_k), 1}},
           k::pack_transposed_rows_bf16_cpu{.packed = packed,
                                            .x = p.a,
                                            .columns = u32(p.M),
                                            .K = u32(block.K),
                                            .ldx = u32(p.M),
                                            .first_k = u32(block.first_k),
                                            .first_column = 0u},
           defines(tile));
  }

  void pack_b(Stream& s, Tensor& packed, const GemmProblem& p, const Block& block,
              const Tile& tile) const {
    const std::size_t panels = ceil_div(block.columns, tile.columns);
    if (p.transpose == Transpose::b) {
      launch(s, {.groups = {panels * tile.columns / 16, ceil_div(block.K, pack_columns), 1}},
             k::pack_rows_bf16_cpu{.packed = packed,
                                   .x = p.b,
                                   .rows = u32(block.columns),
                                   .K = u32(block.K),
                                   .ldx = u32(p.K),
                                   .first_k = u32(block.first_k),
                                   .first_row = u32(block.first_column)},
             defines(tile));
      return;
    }
    launch(s, {.groups = {ceil_div(panels, pack_panels), ceil_div(block.K, pack_k), 1}},
           k::pack_columns_bf16_cpu{.packed = packed,
                                    .x = p.b,
                                    .columns = u32(block.columns),
                                    .K = u32(block.K),
                                    .ldx = u32(p.N),
                                    .first_k = u32(block.first_k),
                                    .first_column = u32(block.first_column)},
           defines(tile));
  }

  /// `a` is bf16 by rows, or its packed panels with Transpose::a.
  void multiply(Stream& s, const GemmProblem& p, const Tensor& a, const Tensor& packed_b,
                const Block& block, const Tile& tile) const {
    const Grid grid = tiles_of(p.M, block, tile, size_of(Dtype::bf16));
    const bool first = block.first_k == 0;
    const std::uint32_t accumulate = p.into == Into::accumulate || !first ? 1 : 0;
    const Tensor* bias = first ? p.bias : nullptr;
    const double flops = 2.0 * static_cast<double>(p.M) * static_cast<double>(block.columns) *
                         static_cast<double>(block.K);
    if (p.transpose == Transpose::a) {
      launch(s, grid,
             k::gemm_panels_bf16_cpu{.c = p.c,
                                     .a = a,
                                     .b = packed_b,
                                     .bias = bias,
                                     .M = u32(p.M),
                                     .N = u32(p.N),
                                     .K = u32(block.K),
                                     .first_column = u32(block.first_column),
                                     .accumulate = accumulate},
             defines(tile), flops);
      return;
    }
    launch(s, grid,
           k::gemm_rows_bf16_cpu{.c = p.c,
                                 .a = a,
                                 .b = packed_b,
                                 .bias = bias,
                                 .M = u32(p.M),
                                 .N = u32(p.N),
                                 .K = u32(block.K),
                                 .lda = u32(p.K),
                                 .first_k = u32(block.first_k),
                                 .first_column = u32(block.first_column),
                                 .accumulate = accumulate},
           defines(tile), flops);
  }

  MatrixUnit unit_;
  std::size_t lanes_;
};

}  // namespace

const GemmProvider& packed_bf16_gemm(MatrixUnit unit) {
  static const PackedBf16Gemm plain(MatrixUnit::none, 0);
  static const PackedBf16Gemm avx512(MatrixUnit::avx512_bf16, 0);
  return unit == MatrixUnit::avx512_bf16 ? avx512 : plain;
}

const GemmProvider& packed_bf16_gemm_for_eight_lanes() {
  static const PackedBf16Gemm provider(MatrixUnit::none, 8);
  return provider;
}

}  // namespace motley::op
