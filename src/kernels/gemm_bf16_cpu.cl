// Matrix multiplication of bf16 for CPUs, with sums in float: as gemm_cpu.cl, but two neighbouring k make a
// pair, which lies in one 32-bit word, the lower k in the lower half. gemm_packed_bf16.cpp launches these.
// lint: -DMR=12 -DNR=32
// lint: -DMR=6 -DNR=16
#include "gemm_tile_cpu.clh"
#include "bf16_pairs.clh"

typedef uint uint_u __attribute__((aligned(2)));
typedef uint16 uint16_u __attribute__((aligned(2)));

// sums[i][v] += pairs[i] * b[v], for one pair of k.
inline void add_tile(float16 sums[MR][VECTORS], const uint pairs[MR], global const uint* b) {
  uint16 columns[VECTORS];
#pragma unroll
  for (uint v = 0; v < VECTORS; ++v) columns[v] = *(global const uint16_u*)(b + 16 * v);
#pragma unroll
  for (uint i = 0; i < MR; ++i) {
    const uint16 x = (uint16)(pairs[i]);
#pragma unroll
    for (uint v = 0; v < VECTORS; ++v) sums[i][v] = add_pairs(sums[i][v], x, columns[v]);
  }
}

// One tile of c = a b for a row-major a: the rows from tile_row() on and the columns of panel group_id(1).
// c: [M, N], written at columns first_column on; a: [M, lda], read at columns first_k to first_k + K - 1;
// b: [panels, ceil(K / 2), NR] pairs, the panels from first_column on; bias: [N]. The last pair of an odd K
// has a zero in b and in a. Rows past the last repeat it: nobody reads their sums.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void gemm_rows_bf16_cpu(global stored_c* restrict c, global const bf16* restrict a,
                               global const uint* restrict b, OPTIONAL global const float* restrict bias,
                               uint M, uint N, uint K, uint lda, uint first_k, uint first_column,
                               uint accumulate) {
  const size_t row = tile_row();
  if (row >= M) return;
  const size_t column = first_column + get_group_id(1) * (size_t)NR;
  const uint rows = (uint)min((size_t)MR, M - row);
  const uint columns = (uint)min((size_t)NR, N - column);
  float16 sums[MR][VECTORS];
  clear_tile(sums);
  global const bf16* in[MR];
#pragma unroll
  for (uint i = 0; i < MR; ++i) in[i] = a + (row + min(i, rows - 1)) * lda + first_k;
  global const uint* panel = b + get_group_id(1) * (size_t)((K + 1) / 2) * NR;
  uint k = 0;
#pragma nounroll
  for (; k + 2 <= K; k += 2) {
    uint pairs[MR];
#pragma unroll
    for (uint i = 0; i < MR; ++i) pairs[i] = *(global const uint_u*)(in[i] + k);
    add_tile(sums, pairs, panel);
    panel += NR;
  }
  if (k < K) {
    uint pairs[MR];
#pragma unroll
    for (uint i = 0; i < MR; ++i) pairs[i] = in[i][k];
    add_tile(sums, pairs, panel);
  }
  store_tile(c + row * N + column, N, sums, rows, columns, bias ? bias + column : bias, accumulate);
}

// The same for a packed a: [panels, ceil(K / 2), MR] pairs, the last panel padded with zeros.
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void gemm_panels_bf16_cpu(global stored_c* restrict c, global const uint* restrict a,
                                 global const uint* restrict b, OPTIONAL global const float* restrict bias,
                                 uint M, uint N, uint K, uint first_column, uint accumulate) {
  const size_t row = tile_row();
  if (row >= M) return;
  const size_t column = first_column + get_group_id(1) * (size_t)NR;
  const uint rows = (uint)min((size_t)MR, M - row);
  const uint columns = (uint)min((size_t)NR, N - column);
  float16 sums[MR][VECTORS];
  clear_tile(sums);
  const uint num_pairs = (K + 1) / 2;
  global const uint* panel_a = a + row * num_pairs;
  global const uint* panel_b = b + get_group_id(1) * (size_t)num_pairs * NR;
#pragma nounroll
  for (uint k = 0; k < num_pairs; ++k) {
    uint pairs[MR];
#pragma unroll
    for (uint i = 0; i < MR; ++i) pairs[i] = panel_a[i];
    add_tile(sums, pairs, panel_b);
    panel_a += MR;
    panel_b += NR;
  }
  store_tile(c + row * N + column, N, sums, rows, columns, bias ? bias + column : bias, accumulate);
}

// --- packing: from float or bf16, whichever `stored` is --------------------------------------------

#ifdef STORED_BF16
inline uint bits(global const stored* p) { return *p; }
inline uint16 bits16(global const stored* p) { return convert_uint16(*(global const ushort16_u*)p); }
// Pairs of neighbours.
inline uint16 pairs16(global const stored* p) { return *(global const uint16_u*)p; }
#else
inline uint bits(global const stored* p) { return bf16_of_float(*p); }
inline uint16 bits16(global const stored* p) { return convert_uint16(bf16_of_float16(LOAD16(p))); }
inline uint16 pairs16(global const stored* p) {
  return (uint16)(as_uint8(bf16_of_float16(LOAD16(p))), as_uint8(bf16_of_float16(LOAD16(p + 16))));
}
#endif

// packed[p][k / 2][j] = the pair x[first_k + k][first_column + p * WIDTH + j], x[first_k + k + 1][the same],
// zero past the last column and past the last k; x: [*, ldx]. WIDTH is NR, or MR for all columns; K even but in the
// last block of all.
#define PACK_PAIRS(WIDTH)                                                                           \
  const uint num_pairs = (K + 1) / 2;                                                               \
  const uint first_pair = (uint)get_group_id(1) * (PACK_K / 2);                                     \
  const uint last_pair = min(num_pairs, first_pair + PACK_K / 2);                                   \
  const uint panels = (columns + WIDTH - 1) / WIDTH;                                                \
  const uint first_panel = (uint)get_group_id(0) * PACK_PANELS;                                     \
  for (uint p = first_panel; p < min(panels, first_panel + PACK_PANELS); ++p) {                     \
    const uint used = min((uint)WIDTH, columns - p * WIDTH);                                        \
    for (uint pair = first_pair; pair < last_pair; ++pair) {                                        \
      const bool whole = 2 * pair + 1 < K;                                                          \
      global const stored* in = x + (size_t)(first_k + 2 * pair) * ldx + first_column + p * WIDTH;  \
      global const stored* next = whole ? in + ldx : in;                                            \
      const uint mask = whole ? 0xffffffffu : 0x0000ffffu;                                          \
      global uint* out = packed + ((size_t)p * num_pairs + pair) * WIDTH;                           \
      if (used == WIDTH && WIDTH % 16 == 0) {                                                       \
        _Pragma("unroll") for (uint j = 0; j + 16 <= WIDTH; j += 16)                                \
            *(global uint16_u*)(out + j) = (bits16(in + j) | bits16(next + j) << 16) & mask;        \
      } else if (used == WIDTH) {                                                                   \
        _Pragma("unroll") for (uint j = 0; j < WIDTH; ++j)                                          \
            out[j] = (bits(in + j) | bits(next + j) << 16) & mask;                                  \
      } else {                                                                                      \
        for (uint j = 0; j < WIDTH; ++j)                                                            \
          out[j] = j < used ? (bits(in + j) | bits(next + j) << 16) & mask : 0;                     \
      }                                                                                             \
    }                                                                                               \
  }

__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void pack_columns_bf16_cpu(global uint* restrict packed, global const stored* restrict x,
                                  uint columns, uint K, uint ldx, uint first_k, uint first_column) {
  PACK_PAIRS(NR)
}

__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void pack_transposed_rows_bf16_cpu(global uint* restrict packed, global const stored* restrict x,
                                          uint columns, uint K, uint first_k) {
  const uint ldx = columns;
  const uint first_column = 0;
  PACK_PAIRS(MR)
}

// packed[p][k / 2][j] = the pair x[first_row + p * NR + j][first_k + k], [the same][first_k + k + 1], zero
// past the last row and the last k; x: [*, ldx]. One work-item has sixteen columns of a panel and
// PACK_COLUMNS of k.
#define PACK_COLUMNS 64
__attribute__((reqd_work_group_size(1, 1, 1)))
kernel void pack_rows_bf16_cpu(global uint* restrict packed, global const stored* restrict x, uint rows,
                               uint K, uint ldx, uint first_k, uint first_row) {
  const uint slab = (uint)get_group_id(0);
  const uint row = slab * 16;
  const uint used = row < rows ? min(16u, rows - row) : 0;
  const uint end = min(K, (uint)get_group_id(1) * PACK_COLUMNS + PACK_COLUMNS);
  global const stored* in = x + (size_t)(first_row + row) * ldx + first_k;
  global uint* out = packed + (size_t)(slab / VECTORS) * ((K + 1) / 2) * NR + (slab % VECTORS) * 16;
  uint k = (uint)get_group_id(1) * PACK_COLUMNS;
  if (used == 16) {
    for (; k + 32 <= end; k += 32) {
      float16 block[16];
#pragma unroll
      for (uint i = 0; i < 16; ++i) block[i] = as_float16(pairs16(in + i * (size_t)ldx + k));
      transpose16(block);
#pragma unroll
      for (uint i = 0; i < 16; ++i) STORE16((global float*)out + (size_t)(k / 2 + i) * NR, block[i]);
    }
  }
  for (; k < end; k += 2) {
    for (uint j = 0; j < 16; ++j) {
      global const stored* at = in + j * (size_t)ldx + k;
      const uint low = j < used ? bits(at) : 0;
      const uint high = j < used && k + 1 < K ? bits(at + 1) : 0;
      out[(size_t)(k / 2) * NR + j] = low | high << 16;
    }
  }
}
