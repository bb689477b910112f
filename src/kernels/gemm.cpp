// matmul, and the choice of a provider.
#include "kernels/gemm.h"

#include "kernels/check.h"
#include "kernels/gemm_matrix.h"
#include "kernels/gemm_plan.h"
#include "kernels/matrix_unit.h"
#include "tensor/device.h"

namespace motley::op {

const GemmProvider& bf16_gemm(KernelFamily family, MatrixUnit unit) {
  if (family == KernelFamily::cpu) return packed_bf16_gemm(unit);
  return unit == MatrixUnit::none ? tiled_gemm() : matrix_unit_gemm(unit);
}

const GemmProvider& choose_gemm(Stream& s, const GemmProblem& problem) {
  const Device& device = s.device();
  const bool in_bf16 = problem.dtype() == Dtype::bf16;
  const MatrixUnit unit = in_bf16 ? find_matrix_unit(s) : MatrixUnit::none;
  if (device.family() == KernelFamily::cpu) return in_bf16 ? packed_bf16_gemm(unit) : packed_gemm();
  if (unit != MatrixUnit::none) return matrix_unit_gemm(unit);
  if (!(plan_of(device, shape_of(problem)) == GemmPlan{})) return tiled_gemm();
  // On a CPU, CLBlast is slower than our tiles and spends half a minute compiling.
  const bool real_gpu = device.info().kind == DeviceKind::gpu;
  return real_gpu && clblast_gemm().can_run(problem) ? clblast_gemm() : tiled_gemm();
}

void multiply(Stream& s, const GemmProblem& problem) {
  const Dtype dtype = problem.dtype();
  for (const Tensor* tensor : {&problem.b, static_cast<const Tensor*>(&problem.c)}) {
    require<ShapeError>(tensor->dtype() == dtype || tensor->dtype() == Dtype::f32, "op.dtype",
                        "matmul: of {} and {}; matrices of 16 bits must be of one dtype",
                        name_of(dtype), name_of(tensor->dtype()));
  }
  if (problem.M == 0 || problem.N == 0) return;
  choose_gemm(s, problem).run(s, problem);
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
  check_real("matmul", "a", a, a.shape());
  check_real("matmul", "b", b, of_b ? Shape{N, K} : Shape{K, N});
  check_real("matmul", "c", c, {M, N});
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
