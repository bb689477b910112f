// Root-mean-square and layer normalisation.
#include "kernels/check.h"
#include "kernels/generated.h"
#include "kernels/ops.h"

namespace motley::op {

void rms_norm(Stream& s, Tensor& y, Tensor& rstd, const Tensor& x, const Tensor& w, float eps) {
  check_rank("rms_norm", "x", x, 2);
  const std::size_t N = x.dim(0);
  const std::size_t C = x.dim(1);
  check_tensor("rms_norm", "y", y, x.shape());
  check_tensor("rms_norm", "rstd", rstd, {N});
  check_tensor("rms_norm", "w", w, {C});
  launch(s, {.groups = {N, 1, 1}},
         k::rms_norm_fwd_cpu{.y = y, .rstd = rstd, .x = x, .w = w, .C = narrow<std::uint32_t>(C), .eps = eps});
}

}  // namespace motley::op
