#include "tensor/cpu_features.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace motley {

#ifdef __x86_64__

namespace {

// Leaf 7 of cpuid (Intel, Software Developer's Manual, volume 2A).
constexpr unsigned amx_bf16_bit = 1u << 22;
constexpr unsigned amx_tile_bit = 1u << 24;
// arch_prctl's request for a state of the processor that is off by default, and AMX's tiles (Linux,
// Documentation/arch/x86/xstate.rst).
constexpr long request_permission = 0x1023;
constexpr long tile_data = 18;

bool has_amx_bf16() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (edx & amx_bf16_bit) != 0 && (edx & amx_tile_bit) != 0;
}

}  // namespace

bool has_avx512_bf16() {
  return __builtin_cpu_supports("avx512bf16") != 0;
}

bool may_use_amx_bf16() {
  static const bool may =
      has_amx_bf16() && syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  return may;
}

#else

bool has_avx512_bf16() {
  return false;
}

bool may_use_amx_bf16() {
  return false;
}

#endif

}  // namespace motley
