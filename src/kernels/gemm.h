// Who multiplies matrices: one interface, several providers, and the choice between them per
// device. Ops use matmul and linear of ops.h; only they and tests name a provider.
#pragma once

#include <string_view>

#include "kernels/ops.h"
#include "tensor/device.h"

namespace motley::op {

/// c = op(a) op(b) + bias, replaced or added to, all row-major. The inner size is K.
struct GemmProblem {
  Tensor& c;           // [M, N], f32, bf16 or f16
  const Tensor& a;     // [M, K], with Transpose::a [K, M]
  const Tensor& b;     // [K, N], with Transpose::b [N, K]
  const Tensor* bias;  // [N] or null, f32
  std::size_t M;
  std::size_t N;
  std::size_t K;
  Transpose transpose;
  Into into;

  /// bf16 or f16 where any of a, b and c is, else f32. With bf16 the factors are bf16, or are
  /// rounded to it where a provider does not multiply by f32; sums are f32 in any case.
  Dtype dtype() const {
    for (const Tensor* tensor : {&a, &b, static_cast<const Tensor*>(&c)}) {
      if (tensor->dtype() != Dtype::f32) return tensor->dtype();
    }
    return Dtype::f32;
  }
  double flops() const {
    return 2.0 * static_cast<double>(M) * static_cast<double>(N) * static_cast<double>(K);
  }
};

/// One way to multiply. Providers hold no state; any of them runs on any device, though not equally
/// fast.
class GemmProvider {
 public:
  virtual ~GemmProvider() = default;
  virtual std::string_view name() const = 0;
  /// Whether run() accepts a problem of these sizes.
  virtual bool can_run(const GemmProblem& problem) const = 0;
  /// Enqueues the product. Each output is summed over k in ascending order by our own kernels.
  virtual void run(Stream& s, const GemmProblem& problem) const = 0;
};

/// Register tiles over packed panels of f32, for CPUs; takes every problem in f32 or f16.
const GemmProvider& packed_gemm();
/// The same over panels of bf16, by the unit or in f32; takes every problem in f32 or bf16.
const GemmProvider& packed_bf16_gemm(MatrixUnit unit);
/// The one for AMX on any CPU, with its instructions in plain code: for tests.
const GemmProvider& emulated_amx_gemm();
/// Local-memory tiles, for GPUs; takes every problem.
const GemmProvider& tiled_gemm();
/// CLBlast, for GPUs; takes f32 of sizes above 0 whose matrices have less than 2^31 elements.
const GemmProvider& clblast_gemm();

/// The provider of bf16 for kernels of a family, by a unit of theirs or by none.
const GemmProvider& bf16_gemm(KernelFamily family, MatrixUnit unit);

/// The provider for this stream's device and problem: with bf16 by the device's matrix unit where
/// it has one; else packed for the `cpu` family, and for the `gpu` family CLBlast on a real GPU
/// where it can, tiled elsewhere and where the device's table says so. The same for every problem
/// of one shape, so results repeat.
const GemmProvider& choose_gemm(Stream& s, const GemmProblem& problem);
/// Runs `problem` on the chosen provider; nothing for an empty c. Shapes are the caller's to check.
/// Throws ShapeError when bf16 and f16 are among its matrices.
void multiply(Stream& s, const GemmProblem& problem);

}  // namespace motley::op
