#include "launch/open_device.h"

#include "dist/agree.h"
#include "dist/placement.h"
#include "tensor/log.h"

namespace motley::launch {
namespace {

DeviceSettings device_settings(const DeviceInfo& info, const DeviceChoiceSettings& settings) {
  DeviceSettings result = default_settings(info);
  if (settings.kernels == "cpu") result.family = KernelFamily::cpu;
  if (settings.kernels == "gpu") result.family = KernelFamily::gpu;
  if (!settings.cache.empty()) result.cache_directory = settings.cache;
  return result;
}

}  // namespace

std::unique_ptr<Device> open_device(Communicator& comm, const DeviceChoiceSettings& settings) {
  const Placement placement = place(comm);
  for (const std::string& warning : placement.warnings) log::warn("{}", warning);
  log::debug("{}", placement.summary());
  return agree(comm, "opening a device", [&] {
    const std::vector<DeviceInfo> devices = list_devices();
    const DeviceSharing sharing = settings.share ? DeviceSharing::allow : DeviceSharing::refuse;
    const DeviceInfo& info =
        choose_device(devices, settings.use, comm.local_rank(), comm.local_size(), sharing);
    const std::string warning = explain_overcommit(info, placement);
    if (!warning.empty()) log::warn("{}", warning);
    return std::make_unique<Device>(info, device_settings(info, settings));
  });
}

}  // namespace motley::launch
