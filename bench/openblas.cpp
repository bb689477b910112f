#include "bench/openblas.h"

#include <dlfcn.h>

#include "tensor/checked.h"

namespace motley::bench {
namespace {

// Of cblas.h.
constexpr int row_major = 101;
constexpr int no_transpose = 111;
constexpr int transpose = 112;

template <class Function>
Function symbol(void* library, const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

}  // namespace

std::optional<OpenBlas> OpenBlas::find(int threads) {
  void* library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return std::nullopt;
  OpenBlas blas;
  blas.sgemm_ = symbol<Sgemm>(library, "cblas_sgemm");
  const auto set_threads = symbol<void (*)(int)>(library, "openblas_set_num_threads");
  const auto config = symbol<char* (*)()>(library, "openblas_get_config");
  if (blas.sgemm_ == nullptr || set_threads == nullptr || config == nullptr) return std::nullopt;
  set_threads(threads);
  blas.version_ = config();
  return blas;
}

void OpenBlas::multiply(float* c, const float* a, const float* b, std::size_t M, std::size_t N,
                        std::size_t K, bool transpose_a, bool transpose_b, float beta) const {
  const int m = narrow<int>(M);
  const int n = narrow<int>(N);
  const int k = narrow<int>(K);
  sgemm_(row_major, transpose_a ? transpose : no_transpose, transpose_b ? transpose : no_transpose,
         m, n, k, 1.0f, a, transpose_a ? m : k, b, transpose_b ? k : n, beta, c, n);
}

}  // namespace motley::bench
