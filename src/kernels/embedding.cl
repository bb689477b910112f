// Looking up rows of token and position tables: one work-item an element, on CPUs and GPUs alike.
// A row takes `chunks` groups of 256 columns; rows and chunks share the first grid dimension because
// GPUs limit the others to 65535 groups.
#include "common.clh"
#include "stored.clh"

// y[n] = table[tokens[n]]. A token that the table does not have gives a row of NaN, so that it shows.
__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void embedding_fwd(global stored* restrict y,           // [N, C]
                          global const int* restrict tokens,   // [N]
                          global const stored_b* restrict table,  // [V, C]
                          uint V, uint C, uint chunks) {
  const size_t n = get_group_id(0) / chunks;
  const size_t c = get_group_id(0) % chunks * 256 + get_local_id(0);
  if (c >= C) return;
  const uint token = (uint)tokens[n];  // a negative one becomes huge
  store(y + n * C + c, token < V ? LOAD_B(table + (size_t)token * C + c) : NAN);
}

// y[b*T + t] += table[t].
__attribute__((reqd_work_group_size(256, 1, 1)))
kernel void position_embedding_fwd(global stored* restrict y,           // [B*T, C]
                                   global const stored_b* restrict table,  // [T, C]
                                   uint T, uint C, uint chunks) {
  const size_t n = get_group_id(0) / chunks;
  const size_t c = get_group_id(0) % chunks * 256 + get_local_id(0);
  if (c < C) store(y + n * C + c, load(y + n * C + c) + LOAD_B(table + n % T * C + c));
}
