#include "kernels/partials.h"

#include "kernels/check.h"
#include "kernels/generated.h"

namespace motley::op {
namespace {

// As in partials_cpu.cl and partials_gpu.cl.
constexpr std::size_t columns = 64;

template <class Kernel>
Kernel kernel_for(Tensor& out, const Tensor& partial, std::size_t part) {
  const std::size_t C = partial.dim(2);
  return {.out = out,
          .partial = partial,
          .blocks = narrow<std::uint32_t>(partial.dim(0)),
          .C = narrow<std::uint32_t>(C),
          .stride = std::uint64_t{partial.dim(1) * C},
          .offset = std::uint64_t{part * C}};
}

}  // namespace

void add_partials(Stream& s, Tensor& out, const Tensor& partial, std::size_t part) {
  const std::size_t groups = ceil_div(partial.dim(2), columns);
  if (s.device().family() == KernelFamily::cpu) {
    launch(s, {.groups = {groups, 1, 1}}, kernel_for<k::partials_add_cpu>(out, partial, part));
  } else {
    launch(s, {.groups = {groups, 1, 1}, .local = {columns, 1, 1}},
           kernel_for<k::partials_add_gpu>(out, partial, part));
  }
}

}  // namespace motley::op
