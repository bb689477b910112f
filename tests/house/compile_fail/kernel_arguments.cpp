// What must not compile: kernel launches with wrong arguments. tests/house/CMakeLists.txt compiles
// this file once for each name below and looks for the compiler's reason; without a name it must
// compile.
#include "kernels/generated.h"

// What comes last, right in every case.
#define LAST_ARGUMENTS                                                             \
  .decays = std::uint32_t{1}, .first = std::uint64_t{0}, .key0 = std::uint32_t{0}, \
  .key1 = std::uint32_t {                                                          \
    0                                                                              \
  }

#ifdef GRID_OF_TWO
constexpr motley::Grid grid{.groups = {1, 1}};
#else
constexpr motley::Grid grid{.groups = {1, 1, 1}};
#endif

namespace motley {

void update(Stream& s, Tensor& w, Tensor& m, const Tensor& g, const Tensor& control) {
  const std::uint64_t size = w.size();
#if defined(MISSING_BUFFER)
  launch(s, {},
         k::sgd_gpu{.w = w,
                    .rest = nullptr,
                    .m = m,
                    .control = control,
                    .size = size,
                    .momentum = 0.9f,
                    LAST_ARGUMENTS});
#elif defined(MISSING_NUMBER)
  launch(s, {},
         k::sgd_gpu{.w = w,
                    .rest = nullptr,
                    .m = m,
                    .g = g,
                    .control = control,
                    .size = size,
                    LAST_ARGUMENTS});
#elif defined(MISNAMED)
  launch(s, {},
         k::sgd_gpu{.w = w,
                    .rest = nullptr,
                    .m = m,
                    .g = g,
                    .control = control,
                    .size = size,
                    .inertia = 0.9f,
                    LAST_ARGUMENTS});
#elif defined(MISORDERED)
  launch(s, {},
         k::sgd_gpu{.m = m,
                    .w = w,
                    .rest = nullptr,
                    .g = g,
                    .control = control,
                    .size = size,
                    .momentum = 0.9f,
                    LAST_ARGUMENTS});
#elif defined(WRONG_NUMBER_TYPE)
  launch(s, {},
         k::sgd_gpu{.w = w,
                    .rest = nullptr,
                    .m = m,
                    .g = g,
                    .control = control,
                    .size = size,
                    .momentum = 0.9,
                    LAST_ARGUMENTS});
#elif defined(NARROWER_NUMBER)
  launch(s, {},
         k::sgd_gpu{.w = w,
                    .rest = nullptr,
                    .m = m,
                    .g = g,
                    .control = control,
                    .size = 256u,
                    .momentum = 0.9f,
                    LAST_ARGUMENTS});
#elif defined(NUMBER_FOR_BUFFER)
  launch(s, {},
         k::sgd_gpu{.w = w,
                    .rest = nullptr,
                    .m = m,
                    .g = 1.0f,
                    .control = control,
                    .size = size,
                    .momentum = 0.9f,
                    LAST_ARGUMENTS});
#elif defined(CONST_OUTPUT)
  launch(s, {},
         k::sgd_gpu{.w = g,
                    .rest = nullptr,
                    .m = m,
                    .g = g,
                    .control = control,
                    .size = size,
                    .momentum = 0.9f,
                    LAST_ARGUMENTS});
#else
  launch(s, grid,
         k::sgd_gpu{.w = w,
                    .rest = nullptr,
                    .m = m,
                    .g = g,
                    .control = control,
                    .size = size,
                    .momentum = 0.9f,
                    LAST_ARGUMENTS});
#endif
}

}  // namespace motley
