#include "launch/open_device.h"

#include "dist/agree.h"
#include "dist/placement.h"
#include "dist/placement_devices.h"
#include "dist/placement_near.h"
#include "tensor/error.h"
#include "tensor/log.h"

namespace motley::launch {
namespace {

DeviceSettings device_settings(const DeviceInfo& info, const DeviceChoiceSettings& settings) {
  DeviceSettings result = default_settings(info);
  if (settings.kernels == "cpu") result.family = KernelFamily::cpu;
  if (settings.kernels == "gpu") result.family = KernelFamily::gpu;
  if (!settings.cache.empty()) result.cache_directory = settings.cache;
  result.profiled = !settings.profile.empty();
  result.matrix_units = settings.matrix_units;
  return result;
}

}  // namespace

PlacedDevice place_device(Communicator& comm, const DeviceChoiceSettings& settings) {
  const DeviceSpec spec =
      agree(comm, "reading device.use", [&] { return DeviceSpec::parse(settings.use); });
  Placement placement = place(comm, core_need(spec.list_for(comm.host()), comm.local_rank()));
  for (const std::string& warning : placement.warnings) log::warn("{}", warning);
  const std::vector<DeviceInfo> devices =
      agree(comm, "listing the devices", [] { return list_devices(); });
  const DeviceSharing sharing = settings.share ? DeviceSharing::allow : DeviceSharing::refuse;
  const DeviceInfo info = agree_on_device(comm, devices, spec, sharing);
  const std::string warning = bind_near(comm, placement, info);
  if (!warning.empty()) {
    log::warn("{}", warning);
    placement.warnings.push_back(warning);
  }
  log::debug("{}", placement.summary());
  return {placement, info, devices};
}

void check_placed(const PlacedDevice& placed, const DeviceChoiceSettings& settings) {
  const std::string refused = explain_one_core(placed.info, placed.placement);
  if (!settings.one_core && !refused.empty()) throw EnvironmentError("placement.one-core", refused);
  const std::string warning = explain_slow_placement(placed.info, placed.placement);
  if (!warning.empty()) log::warn("{}", warning);
}

std::unique_ptr<Device> open_placed(const PlacedDevice& placed,
                                    const DeviceChoiceSettings& settings) {
  return std::make_unique<Device>(placed.info, device_settings(placed.info, settings));
}

std::unique_ptr<Device> open_device(Communicator& comm, const DeviceChoiceSettings& settings) {
  const PlacedDevice placed = place_device(comm, settings);
  return agree(comm, "opening a device", [&] {
    check_placed(placed, settings);
    return open_placed(placed, settings);
  });
}

}  // namespace motley::launch
