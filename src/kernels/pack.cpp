// The last pass over a rank's own gradients before they leave it.
#include "kernels/check.h"
#include "kernels/generated.h"
#include "kernels/ops.h"

namespace motley::op {
namespace {

// reduce.clh and pack_gpu.cl have the same numbers.
constexpr std::size_t chunk_elements = squares_chunk;
constexpr std::size_t gpu_group = 256;
// What a kernel adds in one pass.
constexpr std::size_t max_addends = 3;

template <class K>
void launch_pack(Stream& s, std::size_t group, Packed out, std::span<const Tensor> addends) {
  const auto addend = [&](std::size_t i) { return i < addends.size() ? &addends[i] : nullptr; };
  const std::uint64_t size = out.y.size();
  launch(s, {.groups = {ceil_div(size, chunk_elements), 1, 1}, .local = {group, 1, 1}},
         K{.y = out.y,
           .bad = out.bad,
           .rounded = out.rounded,
           .a = addend(0),
           .b = addend(1),
           .c = addend(2),
           .size = size});
}

}  // namespace

void pack(Stream& s, Packed out, std::span<const Tensor> addends) {
  check_tensor("pack", "y", out.y, out.y.shape());
  check_tensor("pack", "bad", out.bad, {1}, Dtype::i32);
  if (out.rounded != nullptr)
    check_tensor("pack", "rounded", *out.rounded, out.y.shape(), Dtype::bf16);
  for (const Tensor& addend : addends) check_tensor("pack", "an addend", addend, out.y.shape());
  for (; addends.size() > max_addends; addends = addends.subspan(1)) add(s, out.y, addends[0]);
  if (s.device().family() == KernelFamily::cpu) {
    launch_pack<k::pack_cpu>(s, 1, out, addends);
  } else {
    launch_pack<k::pack_gpu>(s, gpu_group, out, addends);
  }
}

}  // namespace motley::op
