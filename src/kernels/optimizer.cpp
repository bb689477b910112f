// Parameter updates. What depends on the step alone is computed here in double, for the caller to
// write; what depends on gradients stays on the device.
#include <cmath>

#include "kernels/check.h"
#include "kernels/generated.h"
#include "kernels/ops.h"

namespace motley::op {
namespace {

// Weights whose random words come from the same counters: see optimizer_cpu.cl.
constexpr std::size_t rounded_together = 64;

/// Of a launch: how weights are rounded.
struct RoundingArguments {
  explicit RoundingArguments(const Weights& w) {
    if (w.rounding == nullptr) return;
    defines.add("STOCHASTIC", 1);
    first = w.rounding->first;
    key0 = w.rounding->random.key0();
    key1 = w.rounding->random.key1();
  }
  Defines defines = {};
  std::uint64_t first = 0;
  std::uint32_t key0 = 0;
  std::uint32_t key1 = 0;
};

/// Calls `update`, a template of the kernel, with that of the device's family and its grid.
template <class Cpu, class Gpu, class Update>
void for_family(Stream& s, std::size_t size, Update&& update) {
  constexpr std::size_t cpu_block = 4096;  // as in optimizer_cpu.cl
  constexpr std::size_t gpu_group = 256;   // as in optimizer_gpu.cl
  if (s.device().family() == KernelFamily::cpu) {
    update.template operator()<Cpu>(Grid{.groups = {ceil_div(size, cpu_block), 1, 1}});
  } else {
    update.template operator()<Gpu>(
        Grid{.groups = {ceil_div(size, gpu_group), 1, 1}, .local = {gpu_group, 1, 1}});
  }
}

void check_weights(std::string_view op, const Weights& w) {
  const bool is_half = w.rest != nullptr || w.rounding != nullptr;
  const Shape& shape = w.values.shape();
  check_tensor(op, "w", w.values, shape, is_half ? Dtype::bf16 : Dtype::f32);
  if (w.rest != nullptr) check_tensor(op, "rest", *w.rest, shape, Dtype::u16);
  require<ShapeError>(w.rounding == nullptr || w.rounding->first % rounded_together == 0,
                      "op.rounding", "{}: the first weight has number {}, no multiple of {}", op,
                      w.rounding == nullptr ? 0 : w.rounding->first, rounded_together);
}

void check_update(std::string_view op, const Weights& w, const Tensor& m, const Tensor& g,
                  const UpdateControl& control) {
  check_weights(op, w);
  check_tensor(op, "m", m, w.values.shape());
  check_tensor(op, "g", g, w.values.shape());
  check_tensor(op, "control", control, {control_size});
}

/// A moving average never forgets with a factor of 1, and explodes above.
void check_factor(std::string_view op, std::string_view what, float factor) {
  require<ConfigError>(factor >= 0.0f && factor < 1.0f, "optimizer.factor",
                       "{}: {} is {}; it must be at least 0 and less than 1", op, what, factor);
}

/// 1 - factor, rounded once.
float rest_of(float factor) {
  return static_cast<float>(1.0 - double{factor});
}

/// What decoupled decay leaves of a weight.
float keep_of(float learning_rate, float weight_decay) {
  return static_cast<float>(1.0 - double{learning_rate} * double{weight_decay});
}

}  // namespace

UpdateNumbers numbers_of(const AdamW& settings) {
  check_factor("adamw", "beta1", settings.beta1);
  check_factor("adamw", "beta2", settings.beta2);
  require<ConfigError>(settings.step >= 1, "optimizer.step",
                       "adamw: step is 0; steps count from 1");
  const auto step = static_cast<double>(settings.step);
  const double correction1 = 1.0 - std::pow(double{settings.beta1}, step);
  const double correction2 = 1.0 - std::pow(double{settings.beta2}, step);
  return {.rate = static_cast<float>(double{settings.learning_rate} / correction1),
          .root = static_cast<float>(1.0 / std::sqrt(correction2)),
          .keep = keep_of(settings.learning_rate, settings.weight_decay)};
}

void adamw(Stream& s, Weights w, Tensor& m, Tensor& v, const Tensor& g,
           const UpdateControl& control, const AdamW& settings, bool decays) {
  check_update("adamw", w, m, g, control);
  check_tensor("adamw", "v", v, w.values.shape());
  check_factor("adamw", "beta1", settings.beta1);
  check_factor("adamw", "beta2", settings.beta2);
  require<ConfigError>(
      settings.epsilon > 0.0f, "optimizer.epsilon",
      "adamw: epsilon is {}; it must be more than 0, or a gradient of 0 divides by 0",
      settings.epsilon);
  const RoundingArguments rounding(w);
  for_family<k::adamw_cpu, k::adamw_gpu>(s, w.values.size(), [&]<class Kernel>(const Grid& grid) {
    launch(s, grid,
           Kernel{.w = w.values,
                  .rest = w.rest,
                  .m = m,
                  .v = v,
                  .g = g,
                  .control = control,
                  .size = std::uint64_t{w.values.size()},
                  .beta1 = settings.beta1,
                  .rest1 = rest_of(settings.beta1),
                  .beta2 = settings.beta2,
                  .rest2 = rest_of(settings.beta2),
                  .epsilon = settings.epsilon,
                  .decays = std::uint32_t{decays ? 1u : 0u},
                  .first = rounding.first,
                  .key0 = rounding.key0,
                  .key1 = rounding.key1},
           rounding.defines);
  });
}

UpdateNumbers numbers_of(const Lion& settings) {
  return {.rate = settings.learning_rate,
          .keep = keep_of(settings.learning_rate, settings.weight_decay)};
}

void lion(Stream& s, Weights w, Tensor& m, const Tensor& g, const UpdateControl& control,
          const Lion& settings, bool decays) {
  check_update("lion", w, m, g, control);
  check_factor("lion", "beta1", settings.beta1);
  check_factor("lion", "beta2", settings.beta2);
  const RoundingArguments rounding(w);
  for_family<k::lion_cpu, k::lion_gpu>(s, w.values.size(), [&]<class Kernel>(const Grid& grid) {
    launch(s, grid,
           Kernel{.w = w.values,
                  .rest = w.rest,
                  .m = m,
                  .g = g,
                  .control = control,
                  .size = std::uint64_t{w.values.size()},
                  .beta1 = settings.beta1,
                  .rest1 = rest_of(settings.beta1),
                  .beta2 = settings.beta2,
                  .rest2 = rest_of(settings.beta2),
                  .decays = std::uint32_t{decays ? 1u : 0u},
                  .first = rounding.first,
                  .key0 = rounding.key0,
                  .key1 = rounding.key1},
           rounding.defines);
  });
}

UpdateNumbers numbers_of(const Sgd& settings) {
  return {.rate = settings.learning_rate,
          .keep = keep_of(settings.learning_rate, settings.weight_decay)};
}

void sgd(Stream& s, Weights w, Tensor& m, const Tensor& g, const UpdateControl& control,
         const Sgd& settings, bool decays) {
  check_update("sgd", w, m, g, control);
  check_factor("sgd", "momentum", settings.momentum);
  const RoundingArguments rounding(w);
  for_family<k::sgd_cpu, k::sgd_gpu>(s, w.values.size(), [&]<class Kernel>(const Grid& grid) {
    launch(s, grid,
           Kernel{.w = w.values,
                  .rest = w.rest,
                  .m = m,
                  .g = g,
                  .control = control,
                  .size = std::uint64_t{w.values.size()},
                  .momentum = settings.momentum,
                  .decays = std::uint32_t{decays ? 1u : 0u},
                  .first = rounding.first,
                  .key0 = rounding.key0,
                  .key1 = rounding.key1},
           rounding.defines);
  });
}

}  // namespace motley::op
