// matmul, and the choice of a provider.
#include "kernels/gemm.h"

#include "kernels/check.h"
#include "tensor/device.h"

namespace motley::op {

const GemmProvider& choose_gemm(const Device& device, const GemmProblem& problem) {
  if (device.family() == KernelFamily::cpu) return packed_gemm();
  // On a CPU, CLBlast is slower than our tiles and spends half a minute compiling.
  const bool real_gpu = device.info().kind == DeviceKind::gpu;
  return real_gpu && clblast_gemm().can_run(problem) ? clblast_gemm() : tiled_gemm();
}

void multiply(Stream& s, const GemmProblem& problem) {
  if (problem.M == 0 || problem.N == 0) return;
  choose_gemm(s.device(), problem).run(s, problem);
}

void matmul(Stream& s, Tensor& c, const Tensor& a, const Tensor& b, Transpose transpose,
            Into into) {
  check_rank("matmul", "a", a, 2);
  check_rank("matmul", "b", b, 2);
  const bool of_a = transpose == Transpose::a;
  const bool of_b = transpose == Transpose::b;
  const std::size_t M = a.dim(of_a ? 1 : 0);
  const std::size_t K = a.dim(of_a ? 0 : 1);
  const std::size_t N = b.dim(of_b ? 0 : 1);
  check_tensor("matmul", "a", a, a.shape());
  check_tensor("matmul", "b", b, of_b ? Shape{N, K} : Shape{K, N});
  check_tensor("matmul", "c", c, {M, N});
  multiply(s, {.c = c,
               .a = a,
               .b = b,
               .bias = nullptr,
               .M = M,
               .N = N,
               .K = K,
               .transpose = transpose,
               .into = into});
}

}  // namespace motley::op
