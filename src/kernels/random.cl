// Tensors of uniform numbers, on CPUs and GPUs alike: one work-item a block of four numbers. Number i depends on the
// key, the stream and i alone.
#include "common.clh"
#include "philox.clh"

#define GROUP 64

// y[i] = Random::uniform(i).
__attribute__((reqd_work_group_size(GROUP, 1, 1)))
kernel void random_uniform_fill(global float* restrict y, ulong size, uint key0, uint key1, ulong stream) {
  const size_t block = get_global_id(0);
  store_up_to_4(y, 4 * block, size, uniform_of(random_block(block, key0, key1, stream)));
}
