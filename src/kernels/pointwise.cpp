// Addition and conversion of whole tensors.
#include "kernels/check.h"
#include "kernels/generated.h"
#include "kernels/ops.h"

namespace motley::op {
namespace {

// pointwise.cl has the same number.
constexpr std::size_t group = 256;

Grid grid_for(std::size_t size) {
  return {.groups = {ceil_div(size, group), 1, 1}, .local = {group, 1, 1}};
}

bool is_real(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::f16 || dtype == Dtype::bf16;
}

/// Launches one of the conversion kernels.
template <class K>
void convert(Stream& s, Tensor& y, const Tensor& x) {
  launch(s, grid_for(x.size()), K{.y = y, .x = x, .size = std::uint64_t{x.size()}});
}

}  // namespace

void add(Stream& s, Tensor& y, const Tensor& x) {
  check_real("add", "y", y, y.shape());
  check_tensor("add", "x", x, y.shape(), y.dtype());
  launch(s, grid_for(x.size()), k::add_into{.y = y, .x = x, .size = std::uint64_t{x.size()}});
}

void cast(Stream& s, Tensor& y, const Tensor& x) {
  require<ShapeError>(is_real(x.dtype()) && is_real(y.dtype()), "op.dtype",
                      "cast: from {} to {}; both must be one of f32, f16, bf16", name_of(x.dtype()),
                      name_of(y.dtype()));
  check_tensor("cast", "y", y, x.shape(), y.dtype());
  if (x.dtype() == y.dtype()) return s.copy(y, x);
  if (x.dtype() == Dtype::f32 && y.dtype() == Dtype::f16)
    return convert<k::cast_f32_to_f16>(s, y, x);
  if (x.dtype() == Dtype::f32) return convert<k::cast_f32_to_bf16>(s, y, x);
  if (x.dtype() == Dtype::f16 && y.dtype() == Dtype::f32)
    return convert<k::cast_f16_to_f32>(s, y, x);
  if (x.dtype() == Dtype::f16) return convert<k::cast_f16_to_bf16>(s, y, x);
  if (y.dtype() == Dtype::f32) return convert<k::cast_bf16_to_f32>(s, y, x);
  convert<k::cast_bf16_to_f16>(s, y, x);
}

}  // namespace motley::op
