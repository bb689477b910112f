#include "train/plan_file.h"

#include <fmt/format.h>

#include "kernels/gemm_plan.h"
#include "kernels/generated.h"
#include "tensor/error.h"
#include "tensor/hash.h"
#include "tensor/log.h"
#include "train/plan_json.h"

namespace motley {
namespace {

constexpr std::size_t format_version = 1;

/// A hash of the sources of all kernels that plans are for.
std::string source_hash() {
  Hasher hasher;
  for (const KernelInfo* info :
       {&k::gemm_rows_cpu::info, &k::gemm_rows_bf16_cpu::info, &k::gemm_gpu::info})
    hasher.update(std::string_view(info->source));
  return hasher.hex();
}

std::string key_of(const Device& device, const std::string& device_key) {
  return fmt::format("{}\n{}\ncompute units: {}\nmatrix unit: {}\nkernels: {}", device_key,
                     kind_of(device), device.info().compute_units,
                     static_cast<int>(device.matrix_unit().value_or(MatrixUnit::none)),
                     source_hash());
}

}  // namespace

PlanFile::PlanFile(const Device& device)
    : device_(device), key_(key_of(device, device.programs().device_key())) {
  const io::Path& directory = device.programs().directory();
  if (!directory.empty()) path_ = directory / ("products-" + hash_of(key_) + ".json");
}

GemmPlans PlanFile::read() const {
  if (path_.empty() || !io::exists(path_)) return {};
  GemmPlans plans;
  try {
    const json::Value root = json::read(path_, json::Kind::data);
    if (root.get("format").as_size() != format_version) root.refuse("has another format");
    if (root.get("key").as_string() != key_) root.refuse("is of another device");
    const json::Value list = root.get("products");
    if (root.get("xxh3_128").as_string() != hash_of(list.raw().dump()))
      list.refuse("is not what was written");
    plans = plans_from_json(list);
  } catch (const Error& e) {
    log::warn("the tuned plans in {} are damaged and not used; `motley tune` makes them anew: {}",
              path_.string(), e.what());
    return {};
  }
  std::erase_if(plans, [&](const auto& entry) { return !op::is_usable(device_, entry.second); });
  return plans;
}

void PlanFile::add(const GemmPlans& plans) const {
  if (path_.empty()) return;
  GemmPlans all = plans;
  all.merge(read());
  const nlohmann::ordered_json list = to_json(all);
  // As it is hashed when it is read: with sorted keys.
  const nlohmann::ordered_json root{{"format", format_version},
                                    {"key", key_},
                                    {"products", list},
                                    {"xxh3_128", hash_of(nlohmann::json(list).dump())}};
  try {
    io::write_text_atomically(path_, root.dump(1) + "\n");
  } catch (const IoError& e) {
    log::warn("tuned plans are not kept: {}", e.what());
  }
}

}  // namespace motley
