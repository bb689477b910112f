// Matrix multiplication of bf16 for CPUs with AMX: tiles of 32 x 32 sums in the unit's registers. b is packed as
// gemm_bf16_cpu.cl packs it; a is read as it is, or packed here where it is transposed. What is short of a
// whole block is copied to a block with zeros around it. gemm_packed_bf16.cpp launches these.
// lint: -DMR=32 -DNR=32
// lint: -DMR=32 -DNR=32 -DAMX_EMULATED=1
// generate amx: -DMR=32 -DNR=32
#include "gemm_tile_cpu.clh"
#include "bf16_words.clh"
#include "amx.clh"

#define BLOCK_K 32
#define BLOCK_PAIRS (BLOCK_K / 2)

// The address of the block of b from pair `first` on: in the panel, or if that ends within the block in
// `copy`.
inline ulong block_of_b(global const uint* panel, uint first, uint num_pairs, uint copy[BLOCK_PAIRS * NR]) {
  if (first + BLOCK_PAIRS <= num_pairs) return (ulong)(panel + (size_t)first * NR);
  for (uint i = 0; i < BLOCK_PAIRS; ++i) {
    for (uint j = 0; j < NR; ++j)
      copy[i * NR + j] = first + i < num_pairs ? panel[(size_t)(first + i) * NR + j] : 0;
  }
  return (ulong)copy;
}

// As gemm_rows_bf16_cpu of gemm_bf16_cpu.cl.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void gemm_rows_amx_cpu(global stored_c* restrict c, global const bf16* restrict a,
                              global const uint* restrict b, OPTIONAL global const float* restrict bias,
                              uint M, uint N, uint K, uint lda, uint first_k, uint first_column,
                              uint accumulate) {
  const size_t row = tile_row();
  if (row >= M) return;
  const size_t column = first_column + get_group_id(1) * (size_t)NR;
  const uint rows = (uint)min((size_t)MR, M - row);
  const uint columns = (uint)min((size_t)NR, N - column);
  const uint num_pairs = (K + 1) / 2;
  global const bf16* in = a + row * lda + first_k;
  global const uint* panel = b + get_group_id(1) * (size_t)num_pairs * NR;
  uint copy_b[BLOCK_PAIRS * NR];
  bf16 copy_a[MR * BLOCK_K];
  Amx unit;
  amx_begin(&unit);
  for (uint k = 0; k < K; k += BLOCK_K) {
    ulong block_a = (ulong)(in + k);
    ulong stride = 2 * (ulong)lda;
    if (rows < MR || k + BLOCK_K > K) {
      for (uint i = 0; i < MR; ++i) {
        for (uint j = 0; j < BLOCK_K; ++j)
          copy_a[i * BLOCK_K + j] = i < rows && k + j < K ? in[i * (size_t)lda + k + j] : 0;
      }
      block_a = (ulong)copy_a;
      stride = 2 * BLOCK_K;
    }
    amx_multiply(&unit, block_a, stride, block_of_b(panel, k / 2, num_pairs, copy_b), 4 * NR);
  }
  float16 sums[MR][VECTORS];
  amx_end(&unit, (float*)sums);
  store_tile(c + row * N + column, N, sums, rows, columns, bias ? bias + column : bias, accumulate);
}

// The same for an a that pack_transposed_rows_amx_cpu has packed.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void gemm_panels_amx_cpu(global stored_c* restrict c, global const uint* restrict a,
                                global const uint* restrict b, OPTIONAL global const float* restrict bias,
                                uint M, uint N, uint K, uint first_column, uint accumulate) {
  const size_t row = tile_row();
  if (row >= M) return;
  const size_t column = first_column + get_group_id(1) * (size_t)NR;
  const uint rows = (uint)min((size_t)MR, M - row);
  const uint columns = (uint)min((size_t)NR, N - column);
  const uint num_pairs = (K + 1) / 2;
  const uint blocks = (K + BLOCK_K - 1) / BLOCK_K;
  global const uint* block_a = a + row * blocks * BLOCK_PAIRS;
  global const uint* panel = b + get_group_id(1) * (size_t)num_pairs * NR;
  uint copy_b[BLOCK_PAIRS * NR];
  Amx unit;
  amx_begin(&unit);
  for (uint block = 0; block < blocks; ++block) {
    amx_multiply(&unit, (ulong)block_a, 4 * BLOCK_PAIRS,
                 block_of_b(panel, block * BLOCK_PAIRS, num_pairs, copy_b), 4 * NR);
    block_a += MR * BLOCK_PAIRS;
  }
  float16 sums[MR][VECTORS];
  amx_end(&unit, (float*)sums);
  store_tile(c + row * N + column, N, sums, rows, columns, bias ? bias + column : bias, accumulate);
}

// packed[p][k / 32][i][k / 2 % 16] = the pair x[first_k + k][first_column + p * MR + i], x[first_k + k + 1][the
// same], zero past the last column and the last k; x: [*, ldx]. One work-item has PACK_PANELS panels of one block
// of k.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void pack_transposed_rows_amx_cpu(global uint* restrict packed, global const stored* restrict x,
                                         uint columns, uint K, uint ldx, uint first_k, uint first_column) {
  const uint block = (uint)get_group_id(1);
  const uint blocks = (K + BLOCK_K - 1) / BLOCK_K;
  const uint k = block * BLOCK_K;
  const uint panels = (columns + MR - 1) / MR;
  const uint first_panel = (uint)get_group_id(0) * PACK_PANELS;
  for (uint p = first_panel; p < min(panels, first_panel + PACK_PANELS); ++p) {
    global uint* out = packed + ((size_t)p * blocks + block) * MR * BLOCK_PAIRS;
    for (uint part = 0; part < MR; part += 16) {
      const uint first = p * MR + part;
      global const stored* in = x + (size_t)(first_k + k) * ldx + first_column + first;
      float16 words[16];
      if (k + BLOCK_K <= K && first + 16 <= columns) {
#pragma unroll
        for (uint i = 0; i < BLOCK_PAIRS; ++i) {
          global const stored* low = in + 2 * i * (size_t)ldx;
          words[i] = as_float16(bits16(low) | bits16(low + ldx) << 16);
        }
        transpose16(words);
#pragma unroll
        for (uint i = 0; i < 16; ++i) STORE16((global float*)(out + (part + i) * BLOCK_PAIRS), words[i]);
        continue;
      }
      for (uint i = 0; i < 16; ++i) {
        for (uint pair = 0; pair < BLOCK_PAIRS; ++pair) {
          const uint at = k + 2 * pair;
          global const stored* low = in + 2 * pair * (size_t)ldx + i;
          const bool inside = first + i < columns;
          const uint word = inside && at < K ? bits(low) : 0;
          out[(part + i) * BLOCK_PAIRS + pair] =
              inside && at + 1 < K ? word | bits(low + ldx) << 16 : word;
        }
      }
    }
  }
}
