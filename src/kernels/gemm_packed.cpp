// The CPU provider: cuts a problem into blocks whose packed panels stay in the caches, packs what
// is not read row by row, and multiplies tile by tile. Kernels and layouts are in gemm_cpu.cl.
#include "kernels/gemm.h"
#include "kernels/gemm_blocks.h"
#include "kernels/generated.h"

namespace motley::op {
namespace {

// Blocks of k keep a panel of b (1024 * 32 floats, 128 KiB) in the second-level cache beside a's
// rows. The sums of a block are added to c block after block, which keeps k's order.
constexpr std::size_t k_block = 1024;

void pack_b(Stream& s, Tensor& packed, const GemmProblem& p, const Block& block, const Tile& tile) {
  const std::size_t panels = ceil_div(block.columns, tile.columns);
  if (p.transpose == Transpose::b) {
    launch(s, {.groups = {panels * tile.columns / 16, ceil_div(block.K, pack_columns), 1}},
           k::pack_rows_cpu{.packed = packed,
                            .x = p.b,
                            .rows = u32(block.columns),
                            .K = u32(block.K),
                            .ldx = u32(p.K),
                            .first_k = u32(block.first_k),
                            .first_row = u32(block.first_column)},
           tile.defines());
    return;
  }
  launch(s, {.groups = {ceil_div(panels, pack_panels), ceil_div(block.K, pack_k), 1}},
         k::pack_columns_cpu{.packed = packed,
                             .x = p.b,
                             .columns = u32(block.columns),
                             .K = u32(block.K),
                             .ldx = u32(p.N),
                             .first_k = u32(block.first_k),
                             .first_column = u32(block.first_column)},
         tile.defines());
}

void pack_a(Stream& s, Tensor& packed, const GemmProblem& p, const Block& block, const Tile& tile) {
  const std::size_t panels = ceil_div(p.M, tile.rows);
  launch(s, {.groups = {ceil_div(panels, pack_panels), ceil_div(block.K, pack_k), 1}},
         k::pack_transposed_rows_cpu{.packed = packed,
                                     .x = p.a,
                                     .columns = u32(p.M),
                                     .K = u32(block.K),
                                     .first_k = u32(block.first_k)},
         tile.defines());
}

/// `a` is p.a, or its packed panels with Transpose::a.
void multiply(Stream& s, const GemmProblem& p, const Tensor& a, const Tensor& packed_b,
              const Block& block, const Tile& tile) {
  const Grid grid = tiles_of(p.M, block, tile, sizeof(float));
  const bool first = block.first_k == 0;
  const std::uint32_t accumulate = p.into == Into::accumulate || !first ? 1 : 0;
  const Tensor* bias = first ? p.bias : nullptr;
  const double flops = 2.0 * static_cast<double>(p.M) * static_cast<double>(block.columns) *
                       static_cast<double>(block.K);
  if (p.transpose == Transpose::a) {
    launch(s, grid,
           k::gemm_panels_cpu{.c = p.c,
                              .a = a,
                              .b = packed_b,
                              .bias = bias,
                              .M = u32(p.M),
                              .N = u32(p.N),
                              .K = u32(block.K),
                              .first_column = u32(block.first_column),
                              .accumulate = accumulate},
           tile.defines(), flops);
    return;
  }
  launch(s, grid,
         k::gemm_rows_cpu{.c = p.c,
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
         tile.defines(), flops);
}

class PackedGemm : public GemmProvider {
 public:
  /// 0: as many lanes as the device has.
  explicit PackedGemm(std::size_t lanes) : lanes_(lanes) {}
  std::string_view name() const override { return "packed"; }
  bool can_run(const GemmProblem& p) const override { return !p.has_bf16(); }

  void run(Stream& s, const GemmProblem& p) const override {
    Device& device = s.device();
    const Tile tile = tile_for(lanes_ == 0 ? lanes_of(device) : lanes_);
    const BlockSizes sizes = BlockSizes::of(p, tile, k_block, sizeof(float));
    const bool packs_a = p.transpose == Transpose::a;
    Tensor packed_b = device.tensor({checked_mul(sizes.columns, sizes.K)});
    Tensor packed_a;
    if (packs_a) packed_a = device.tensor({checked_mul(round_up(p.M, tile.rows), sizes.K)});
    for_each_block(
        p, sizes,
        [&](std::size_t first_k, std::size_t K) {
          if (packs_a) pack_a(s, packed_a, p, {0, p.N, first_k, K}, tile);
        },
        [&](const Block& block) {
          pack_b(s, packed_b, p, block, tile);
          multiply(s, p, packs_a ? packed_a : p.a, packed_b, block, tile);
        });
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
