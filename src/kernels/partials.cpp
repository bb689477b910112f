#include "kernels/partials.h"

#include "kernels/check.h"
#include "kernels/generated.h"

namespace motley::op {

void add_partials(Stream& s, Tensor& out, const Tensor& partial, std::size_t part) {
  constexpr std::size_t group = 64;  // as in partials.cl
  const std::size_t C = partial.dim(2);
  launch(s, {.groups = {ceil_div(C, group), 1, 1}, .local = {group, 1, 1}},
         k::partials_add{.out = out,
                         .partial = partial,
                         .blocks = narrow<std::uint32_t>(partial.dim(0)),
                         .C = narrow<std::uint32_t>(C),
                         .stride = std::uint64_t{partial.dim(1) * C},
                         .offset = std::uint64_t{part * C}});
}

}  // namespace motley::op
