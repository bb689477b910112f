// Tensors of random numbers, made on the device.
#include "kernels/check.h"
#include "kernels/generated.h"
#include "kernels/ops.h"

namespace motley::op {
namespace {

// random.cl and random_normal_gpu.cl have the same number.
constexpr std::size_t group = 64;
// random_normal_cpu.cl as well.
constexpr std::size_t chunk_cpu = 16384;
constexpr std::size_t numbers_per_block = 4;

Grid grid_for(std::size_t size) {
  return {.groups = {ceil_div(ceil_div(size, numbers_per_block), group), 1, 1},
          .local = {group, 1, 1}};
}

template <class Kernel>
void launch_normal(Stream& s, const Grid& grid, Tensor& y, const Random& random, float stddev) {
  launch(s, grid,
         Kernel{.y = y,
                .size = std::uint64_t{y.size()},
                .key0 = random.key0(),
                .key1 = random.key1(),
                .stream = random.stream(),
                .stddev = stddev});
}

}  // namespace

void random_uniform(Stream& s, Tensor& y, const Random& random) {
  check_tensor("random_uniform", "y", y, y.shape());
  launch(s, grid_for(y.size()),
         k::random_uniform_fill{.y = y,
                                .size = std::uint64_t{y.size()},
                                .key0 = random.key0(),
                                .key1 = random.key1(),
                                .stream = random.stream()});
}

void random_normal(Stream& s, Tensor& y, const Random& random, float stddev) {
  check_tensor("random_normal", "y", y, y.shape());
  if (s.device().family() == KernelFamily::cpu) {
    const Grid grid{.groups = {ceil_div(y.size(), chunk_cpu), 1, 1}};
    launch_normal<k::random_normal_cpu>(s, grid, y, random, stddev);
  } else {
    launch_normal<k::random_normal_gpu>(s, grid_for(y.size()), y, random, stddev);
  }
}

}  // namespace motley::op
