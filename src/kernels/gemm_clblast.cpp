// CLBlast as a provider: the fallback on GPUs and an independent oracle in tests. It compiles its
// kernels at the first use in a process, which takes seconds on a GPU and most of a minute on a
// CPU.
#define CL_TARGET_OPENCL_VERSION 120
#include <clblast.h>

#include <algorithm>
#include <mutex>

#include "kernels/gemm.h"
#include "kernels/generated.h"

namespace motley::op {
namespace {

// CLBlast computes with 32-bit indices inside its kernels.
constexpr std::size_t max_elements = (std::size_t{1} << 31) - 1;
constexpr std::size_t bias_group = 256;

bool fits(std::size_t rows, std::size_t columns) {
  return rows <= max_elements / columns;
}

/// CLBlast's tables and program cache are unsynchronised when they are first used: two threads in
/// it at once have crashed.
std::mutex& clblast_mutex() {
  static std::mutex mutex;
  return mutex;
}

void check_clblast(clblast::StatusCode status, std::size_t M, std::size_t N, std::size_t K) {
  require<DeviceError>(
      status == clblast::StatusCode::kSuccess, "device.clblast",
      "CLBlast refused a product of M={}, N={}, K={} with status {}; see StatusCode in "
      "clblast.h",
      M, N, K, static_cast<int>(status));
}

/// A row-major c = a b is a column-major c^T = b^T a^T, where no operand needs to be turned round
/// unless the caller asked for it; CLBlast's own row-major mode always transposes c.
struct ColumnMajor {
  clblast::Transpose first;   // of b
  clblast::Transpose second;  // of a
  std::size_t ldb;
  std::size_t lda;

  explicit ColumnMajor(const GemmProblem& p)
      : first(p.transpose == Transpose::b ? clblast::Transpose::kYes : clblast::Transpose::kNo),
        second(p.transpose == Transpose::a ? clblast::Transpose::kYes : clblast::Transpose::kNo),
        ldb(p.transpose == Transpose::b ? p.K : p.N),
        lda(p.transpose == Transpose::a ? p.M : p.K) {}
};

class ClblastGemm : public GemmProvider {
 public:
  std::string_view name() const override { return "clblast"; }

  bool can_run(const GemmProblem& p) const override {
    return p.dtype() == Dtype::f32 && p.M > 0 && p.N > 0 && p.K > 0 && fits(p.M, p.N) &&
           fits(p.M, p.K) && fits(p.K, p.N) &&
           std::max({p.a.offset(), p.b.offset(), p.c.offset()}) <= max_elements;
  }

  void run(Stream& s, const GemmProblem& p) const override {
    multiply(s, p);
    if (p.bias == nullptr) return;
    launch(s, {.groups = {ceil_div(p.M * p.N, bias_group), 1, 1}, .local = {bias_group, 1, 1}},
           k::bias_add_gpu{.c = p.c,
                           .bias = *p.bias,
                           .size = std::uint64_t{p.M * p.N},
                           .N = narrow<std::uint32_t>(p.N)});
  }

 private:
  static void multiply(Stream& s, const GemmProblem& p) {
    const ColumnMajor m(p);
    cl_command_queue queue = s.queue();
    std::size_t workspace_bytes = 0;
    {
      const std::lock_guard lock(clblast_mutex());
      check_clblast(clblast::GemmTempBufferSize<float>(
                        clblast::Layout::kColMajor, m.first, m.second, p.N, p.M, p.K, p.b.offset(),
                        m.ldb, p.a.offset(), m.lda, p.c.offset(), p.N, &queue, workspace_bytes),
                    p.M, p.N, p.K);
    }
    // A buffer of ours, because CLBlast's own is allocated and released on every call.
    const Tensor workspace = s.tensor({ceil_div(workspace_bytes, sizeof(float))});
    const float beta = p.into == Into::accumulate ? 1.0f : 0.0f;
    const auto bytes = static_cast<double>(p.a.bytes() + p.b.bytes() + p.c.bytes());
    s.enqueue_foreign(
        "clblast_gemm", {.flops = p.flops(), .bytes = bytes}, {&p.a, &p.b, &p.c, &workspace},
        [m, beta, queue, M = p.M, N = p.N, K = p.K](std::span<const MemoryPlace> places) mutable {
          const std::lock_guard lock(clblast_mutex());
          const auto at = [&](std::size_t i) { return places[i].offset / sizeof(float); };
          check_clblast(clblast::Gemm<float>(clblast::Layout::kColMajor, m.first, m.second, N, M, K,
                                             1.0f, places[1].memory, at(1), m.ldb, places[0].memory,
                                             at(0), m.lda, beta, places[2].memory, at(2), N, &queue,
                                             nullptr, places[3].memory),
                        M, N, K);
        });
  }
};

}  // namespace

const GemmProvider& clblast_gemm() {
  static const ClblastGemm provider;
  return provider;
}

}  // namespace motley::op
