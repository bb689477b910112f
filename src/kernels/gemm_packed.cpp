// The CPU provider: cuts a problem into blocks whose packed panels stay in the caches, packs what
// is not read row by row, and multiplies tile by tile (Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication", 2008). Kernels and layouts are in gemm_cpu.cl.
#include <algorithm>

#include "kernels/gemm.h"
#include "kernels/generated.h"

namespace motley::op {
namespace {

// Blocks of k keep a panel of b (512 * 32 floats, 64 KiB) in the second-level cache beside a's
// rows. The sums of a block are added to c block after block, which keeps k's order.
constexpr std::size_t k_block = 512;
// Packed blocks of b are at most this many floats (16 MiB), however wide the matrix is.
constexpr std::size_t max_packed_b = std::size_t{4} << 20;
// As in gemm_cpu.cl.
constexpr std::size_t pack_panels = 8;
constexpr std::size_t pack_k = 16;
constexpr std::size_t pack_columns = 64;

/// The tile's sums must fit the vector registers: 24 of 32 registers of 16 floats, 12 of 16 of 8.
struct Tile {
  std::size_t rows;
  std::size_t columns;
  Defines defines() const {
    return {{"MR", static_cast<std::int64_t>(rows)}, {"NR", static_cast<std::int64_t>(columns)}};
  }
};

Tile tile_for(std::size_t lanes) {
  return lanes >= 16 ? Tile{12, 32} : Tile{6, 16};
}

/// How many floats a vector of the device has.
std::size_t lanes_of(const Device& device) {
  cl_uint lanes = 0;
  check_cl(device.info().handle.getInfo(CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, &lanes),
           "clGetDeviceInfo");
  return lanes;
}

std::uint32_t u32(std::size_t value) {
  return narrow<std::uint32_t>(value);
}

/// Columns [first, first + size) of the product and k in [first_k, first_k + K).
struct Block {
  std::size_t first_column;
  std::size_t columns;
  std::size_t first_k;
  std::size_t K;
};

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
  const Grid grid{.groups = {ceil_div(p.M, tile.rows), ceil_div(block.columns, tile.columns), 1}};
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
  bool can_run(const GemmProblem&) const override { return true; }

  void run(Stream& s, const GemmProblem& p) const override {
    Device& device = s.device();
    const Tile tile = tile_for(lanes_ == 0 ? lanes_of(device) : lanes_);
    const std::size_t longest_k = std::min(p.K, k_block);
    const std::size_t all_columns = round_up(p.N, tile.columns);
    const std::size_t most_columns = max_packed_b / k_block / tile.columns * tile.columns;
    const std::size_t n_block = std::min(all_columns, most_columns);
    const bool packs_a = p.transpose == Transpose::a;
    Tensor packed_b = device.tensor({checked_mul(n_block, longest_k)});
    Tensor packed_a;
    if (packs_a) packed_a = device.tensor({checked_mul(round_up(p.M, tile.rows), longest_k)});

    // An empty sum is still written: one block without any k.
    std::size_t first_k = 0;
    do {
      const std::size_t K = std::min(p.K - first_k, k_block);
      if (packs_a) pack_a(s, packed_a, p, {0, p.N, first_k, K}, tile);
      for (std::size_t first = 0; first < p.N; first += n_block) {
        const Block block{first, std::min(p.N - first, n_block), first_k, K};
        pack_b(s, packed_b, p, block, tile);
        multiply(s, p, packs_a ? packed_a : p.a, packed_b, block, tile);
      }
      first_k += K;
    } while (first_k < p.K);
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
