#include "bench/probe_clblast.h"

#include <clblast.h>
#include <clblast_half.h>

#include "tensor/error.h"

namespace motley::bench {

void clblast_hgemm(Stream& s, Tensor& c, const Tensor& a, const Tensor& b, std::size_t n) {
  cl_command_queue queue = s.queue();
  const auto status =
      clblast::Gemm<half>(clblast::Layout::kColMajor, clblast::Transpose::kNo,
                          clblast::Transpose::kNo, n, n, n, FloatToHalf(1.0f), a.mem(), 0, n,
                          b.mem(), 0, n, FloatToHalf(0.0f), c.mem(), 0, n, &queue, nullptr);
  require<DeviceError>(
      status == clblast::StatusCode::kSuccess, "device.clblast",
      "CLBlast refused a product of halves with status {}; see StatusCode in clblast.h",
      static_cast<int>(status));
}

}  // namespace motley::bench
