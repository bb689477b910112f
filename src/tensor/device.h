// One opened OpenCL device: its limits, its memory pool, its programs and its compute stream.
// Opened in main (or a test) and passed down by reference; there is no global device.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "tensor/device_info.h"
#include "tensor/gemm_plan.h"
#include "tensor/memory.h"
#include "tensor/profile.h"
#include "tensor/program.h"
#include "tensor/stream.h"
#include "tensor/tensor.h"

namespace motley {

/// Which kernels a device runs: `cpu` has no local memory and no barriers, one work-item a group
/// and explicit vectors; `gpu` has work-groups, local memory and trees. Both run on any device.
enum class KernelFamily { cpu, gpu };

/// What fresh memory is filled with when it is poisoned: a NaN as f32, f16 and bf16.
inline constexpr std::uint32_t poison_pattern = 0xFFFFFFFFu;

/// What a device multiplies matrices of bf16 with, besides arithmetic in f32.
enum class MatrixUnit {
  none,
  avx512_bf16,
  amx,           // of CPUs that have avx512_bf16 as well
  nvidia_mma,    // tensor cores, from compute capability 8.0 on
  intel_xmx_8,   // of GPUs whose smallest sub-groups have 8 lanes
  intel_xmx_16,  // and 16
  amd_wmma,      // RDNA 3
  amd_mfma,      // CDNA, from the second on
};

/// Whether a CPU multiplies vectors of pairs of bf16, by vdpbf16ps, where it has this unit.
constexpr bool multiplies_pairs(MatrixUnit unit) {
  return unit == MatrixUnit::avx512_bf16 || unit == MatrixUnit::amx;
}

/// Fresh tensors hold whatever was there before, or NaN so that a read before the first write
/// shows.
enum class FreshMemory { unspecified, poison };

struct DeviceSettings {
  KernelFamily family = KernelFamily::cpu;
  FreshMemory fresh_memory = FreshMemory::unspecified;
  /// Where built kernels are kept between runs; empty: nowhere.
  std::filesystem::path cache_directory = {};
  /// Whether streams can tell when commands ran; see CommandProfile.
  bool profiled = false;
  /// Whether products may use what kernels/matrix_unit.h finds.
  bool matrix_units = true;
};

/// The settings that suit a device: its kind's family and the default cache directory; in debug
/// builds fresh memory is poisoned.
DeviceSettings default_settings(const DeviceInfo& info);

class Device {
 public:
  explicit Device(const DeviceInfo& info) : Device(info, default_settings(info)) {}
  Device(const DeviceInfo& info, const DeviceSettings& settings);
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceInfo& info() const { return info_; }
  KernelFamily family() const { return settings_.family; }
  bool poisons_fresh_memory() const { return settings_.fresh_memory == FreshMemory::poison; }
  /// Whether to look for a matrix unit, and what was found; no value before anybody looked.
  bool may_use_matrix_units() const { return settings_.matrix_units; }
  std::optional<MatrixUnit> matrix_unit() const { return matrix_unit_; }
  void set_matrix_unit(MatrixUnit unit) { matrix_unit_ = unit; }
  /// How products are cut whose shapes have been tuned.
  const GemmPlans& gemm_plans() const { return gemm_plans_; }
  void set_gemm_plans(GemmPlans plans) { gemm_plans_ = std::move(plans); }
  MemoryPool& pool() { return pool_; }
  ProgramCache& programs() { return programs_; }
  const ProgramCache& programs() const { return programs_; }
  /// The compute stream. Every op of a model runs here.
  Stream& stream() { return stream_; }
  const cl::Context& context() const { return context_; }
  /// Of all streams of the device; null unless the settings asked for one.
  CommandProfile* profile() { return profile_.get(); }

  /// A tensor with unspecified contents. Throws DeviceError when memory is out.
  Tensor tensor(const Shape& shape, Dtype dtype = Dtype::f32);
  /// A tensor over host memory, without a copy where the device allows it; see MemoryPool::wrap.
  Tensor wrap(std::span<float> memory, std::shared_ptr<const void> owner);
  /// The same of another dtype. Throws ShapeError when the memory is no whole number of elements.
  Tensor wrap(std::span<std::byte> memory, Dtype dtype, std::shared_ptr<const void> owner);
  /// A tensor of zeros.
  Tensor zeros(const Shape& shape, Dtype dtype = Dtype::f32);

 private:
  DeviceInfo info_;
  DeviceSettings settings_;
  cl::Context context_;
  MemoryPool pool_;
  ProgramCache programs_;
  std::unique_ptr<CommandProfile> profile_;
  std::optional<MatrixUnit> matrix_unit_;
  GemmPlans gemm_plans_;
  Stream stream_;
};

}  // namespace motley
