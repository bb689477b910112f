// What instructions the processor this program runs on has, for kernels that contain them.
#pragma once

namespace motley {

/// vdpbf16ps on vectors of 512 bits.
bool has_avx512_bf16();

/// AMX with products of bf16. The first call asks the system to let this process use it, which
/// Linux requires; false where it refuses. Every thread that is started later may use it as well.
bool may_use_amx_bf16();

}  // namespace motley
