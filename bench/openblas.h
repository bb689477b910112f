// OpenBLAS, where it is installed: looked for when the program runs, so that nothing needs it to
// be built.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace motley::bench {

/// What to install when find() has nothing.
inline constexpr const char* openblas_package = "libopenblas0";

class OpenBlas {
 public:
  /// The system's, with this many threads; none when it is not there.
  static std::optional<OpenBlas> find(int threads);

  /// Its version and the processor it chose its kernels for.
  const std::string& version() const { return version_; }
  /// c = op(a) op(b) + beta c, row-major. c: [M, N]; op(a): [M, K]; op(b): [K, N].
  void multiply(float* c, const float* a, const float* b, std::size_t M, std::size_t N,
                std::size_t K, bool transpose_a, bool transpose_b, float beta) const;

 private:
  using Sgemm = void (*)(int order, int transpose_a, int transpose_b, int m, int n, int k,
                         float alpha, const float* a, int lda, const float* b, int ldb, float beta,
                         float* c, int ldc);
  Sgemm sgemm_ = nullptr;
  std::string version_;
};

}  // namespace motley::bench
