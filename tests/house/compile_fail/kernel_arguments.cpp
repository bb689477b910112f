// What must not compile: kernel launches with wrong arguments. tests/house/CMakeLists.txt compiles
// this file once for each name below and looks for the compiler's reason; without a name it must
// compile.
#include "kernels/generated.h"

namespace motley {

void update(Stream& s, Tensor& w, Tensor& m, const Tensor& g, const Tensor& control) {
  const std::uint64_t size = w.size();
#if defined(MISSING_BUFFER)
  launch(s, {},
         k::sgd_update{.w = w,
                       .m = m,
                       .control = control,
                       .size = size,
                       .momentum = 0.9f,
                       .keep = 1.0f,
                       .rate = 0.1f});
#elif defined(MISSING_NUMBER)
  launch(s, {},
         k::sgd_update{.w = w,
                       .m = m,
                       .g = g,
                       .control = control,
                       .size = size,
                       .momentum = 0.9f,
                       .keep = 1.0f});
#elif defined(MISNAMED)
  launch(s, {},
         k::sgd_update{.w = w,
                       .m = m,
                       .g = g,
                       .control = control,
                       .size = size,
                       .inertia = 0.9f,
                       .keep = 1.0f,
                       .rate = 0.1f});
#elif defined(MISORDERED)
  launch(s, {},
         k::sgd_update{.m = m,
                       .w = w,
                       .g = g,
                       .control = control,
                       .size = size,
                       .momentum = 0.9f,
                       .keep = 1.0f,
                       .rate = 0.1f});
#elif defined(WRONG_NUMBER_TYPE)
  launch(s, {},
         k::sgd_update{.w = w,
                       .m = m,
                       .g = g,
                       .control = control,
                       .size = size,
                       .momentum = 0.9,
                       .keep = 1.0f,
                       .rate = 0.1f});
#elif defined(NARROWER_NUMBER)
  launch(s, {},
         k::sgd_update{.w = w,
                       .m = m,
                       .g = g,
                       .control = control,
                       .size = 256u,
                       .momentum = 0.9f,
                       .keep = 1.0f,
                       .rate = 0.1f});
#elif defined(NUMBER_FOR_BUFFER)
  launch(s, {},
         k::sgd_update{.w = w,
                       .m = m,
                       .g = 1.0f,
                       .control = control,
                       .size = size,
                       .momentum = 0.9f,
                       .keep = 1.0f,
                       .rate = 0.1f});
#elif defined(CONST_OUTPUT)
  launch(s, {},
         k::sgd_update{.w = g,
                       .m = m,
                       .g = g,
                       .control = control,
                       .size = size,
                       .momentum = 0.9f,
                       .keep = 1.0f,
                       .rate = 0.1f});
#else
  launch(s, {},
         k::sgd_update{.w = w,
                       .m = m,
                       .g = g,
                       .control = control,
                       .size = size,
                       .momentum = 0.9f,
                       .keep = 1.0f,
                       .rate = 0.1f});
#endif
}

}  // namespace motley
