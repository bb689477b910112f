// Token and position embeddings.
#include "kernels/check.h"
#include "kernels/generated.h"
#include "kernels/ops.h"

namespace motley::op {
namespace {

// The work-groups of embedding.cl and embedding_gpu.cl.
constexpr std::size_t group = 256;

/// A grid of `rows` rows of C columns, and how many groups a row takes.
struct RowGrid {
  Grid grid;
  std::uint32_t chunks;
};

RowGrid row_grid(std::size_t rows, std::size_t C) {
  const std::size_t chunks = ceil_div(C, group);
  return {.grid = {.groups = {checked_mul(rows, chunks), 1, 1}, .local = {group, 1, 1}},
          .chunks = narrow<std::uint32_t>(chunks)};
}

/// Checks activations [N, C] against a position table [at least T, C].
void check_positions(std::string_view op, const Tensor& activations, const Tensor& table,
                     std::size_t T) {
  check_rank(op, "table", table, 2);
  check_rank(op, "y", activations, 2);
  check_real(op, "y", activations, {activations.dim(0), table.dim(1)});
  require<ShapeError>(
      T > 0 && T <= table.dim(0) && activations.dim(0) % T == 0, "op.shape",
      "{}: {} rows in sequences of {} do not fit a table of {} positions; T must divide "
      "the rows and be at most the table's length",
      op, activations.dim(0), T, table.dim(0));
}

}  // namespace

void embedding(Stream& s, Tensor& y, const Tensor& tokens, const Tensor& table) {
  check_rank("embedding", "table", table, 2);
  check_rank("embedding", "tokens", tokens, 1);
  const std::size_t N = tokens.dim(0);
  const std::size_t V = table.dim(0);
  const std::size_t C = table.dim(1);
  check_real("embedding", "y", y, {N, C});
  check_tensor("embedding", "tokens", tokens, {N}, Dtype::i32);
  check_real("embedding", "table", table, {V, C});
  const RowGrid rows = row_grid(N, C);
  launch(s, rows.grid,
         k::embedding_fwd{.y = y,
                          .tokens = tokens,
                          .table = table,
                          .V = narrow<std::uint32_t>(V),
                          .C = narrow<std::uint32_t>(C),
                          .chunks = rows.chunks});
}

void embedding_backward(Stream& s, Tensor& dtable, const Tensor& dy, const TokenIndex& index) {
  constexpr std::string_view op = "embedding_backward";
  check_rank(op, "dtable", dtable, 2);
  check_rank(op, "dy", dy, 2);
  check_rank(op, "rows", index.rows, 1);
  const std::size_t V = dtable.dim(0);
  const std::size_t C = dtable.dim(1);
  const std::size_t U = index.rows.dim(0);
  check_tensor(op, "dtable", dtable, {V, C});
  check_real(op, "dy", dy, {dy.dim(0), C});
  check_tensor(op, "rows", index.rows, {U}, Dtype::i32);
  check_tensor(op, "starts", index.starts, {U + 1}, Dtype::i32);
  check_tensor(op, "positions", index.positions, {dy.dim(0)}, Dtype::i32);
  const auto num_rows = narrow<std::uint32_t>(V);
  const auto num_columns = narrow<std::uint32_t>(C);
  if (s.device().family() == KernelFamily::cpu) {
    launch(s, {.groups = {U, 1, 1}},
           k::embedding_bwd_cpu{.dtable = dtable,
                                .dy = dy,
                                .rows = index.rows,
                                .starts = index.starts,
                                .positions = index.positions,
                                .V = num_rows,
                                .C = num_columns});
    return;
  }
  const RowGrid rows = row_grid(U, C);
  launch(s, rows.grid,
         k::embedding_bwd_gpu{.dtable = dtable,
                              .dy = dy,
                              .rows = index.rows,
                              .starts = index.starts,
                              .positions = index.positions,
                              .V = num_rows,
                              .C = num_columns,
                              .chunks = rows.chunks});
}

void position_embedding(Stream& s, Tensor& y, const Tensor& table, std::size_t T) {
  check_positions("position_embedding", y, table, T);
  check_real("position_embedding", "table", table, table.shape());
  const RowGrid rows = row_grid(y.dim(0), y.dim(1));
  launch(s, rows.grid,
         k::position_embedding_fwd{.y = y,
                                   .table = table,
                                   .T = narrow<std::uint32_t>(T),
                                   .C = narrow<std::uint32_t>(y.dim(1)),
                                   .chunks = rows.chunks});
}

void position_embedding_backward(Stream& s, Tensor& dtable, const Tensor& dy, std::size_t T) {
  check_positions("position_embedding_backward", dy, dtable, T);
  check_tensor("position_embedding_backward", "dtable", dtable, dtable.shape());
  const auto B = narrow<std::uint32_t>(dy.dim(0) / T);
  const auto length = narrow<std::uint32_t>(T);
  const auto C = narrow<std::uint32_t>(dy.dim(1));
  if (s.device().family() == KernelFamily::cpu) {
    launch(s, {.groups = {T, 1, 1}},
           k::position_embedding_bwd_cpu{.dtable = dtable, .dy = dy, .B = B, .T = length, .C = C});
    return;
  }
  const RowGrid rows = row_grid(T, C);
  launch(s, rows.grid,
         k::position_embedding_bwd_gpu{
             .dtable = dtable, .dy = dy, .B = B, .T = length, .C = C, .chunks = rows.chunks});
}

}  // namespace motley::op
