#include "train/gradient_carrier.h"

#include <algorithm>

#include "tensor/error.h"
#include "tensor/log.h"
#include "train/unified_memory.h"

namespace motley {
namespace {

std::span<float> part_of(std::span<float> memory, const Range& range) {
  return memory.subspan(range.begin, range.size());
}

HostMemory memory_that_suits(const DeviceInfo& info) {
  if (info.kind == DeviceKind::cpu) return HostMemory::in_place;
  return info.unified_memory ? HostMemory::mapped : HostMemory::copied;
}

std::unique_ptr<Carrier> with_rows(std::unique_ptr<Carrier> carrier, DeviceRows& rows) {
  rows.values = carrier->make_values();
  rows.slots = {carrier->make_slot(0)};
  rows.sums.clear();
  for (std::size_t bucket = 0; bucket < rows.layout.buckets.size(); ++bucket)
    rows.sums.push_back(carrier->make_sums(bucket));
  return carrier;
}

}  // namespace

std::string_view to_string(HostMemory memory) {
  switch (memory) {
    case HostMemory::automatic:
      return "automatic";
    case HostMemory::in_place:
      return "in place";
    case HostMemory::mapped:
      return "mapped";
    case HostMemory::copied:
      return "copied";
  }
  return "?";
}

Tensor DeviceRows::part(const DeviceRow& row, const Range& range) const {
  std::size_t block = 0;
  while (layout.blocks[block].end < range.end) ++block;
  const std::size_t begin = layout.blocks[block].begin;
  return row[block].slice(range.begin - begin, range.end - begin);
}

DeviceRow DeviceRows::blocks_of(const std::vector<Tensor>& tensors) const {
  DeviceRow row;
  for (std::size_t block = 0; block < layout.blocks.size(); ++block) {
    const std::size_t size = layout.blocks[block].end - layout.blocks[block].begin;
    row.push_back(tensors[regions.of_block[block]].slice(0, size));
  }
  return row;
}

DeviceRow make_values_row(Device& device, const DeviceRows& rows) {
  DeviceRow row;
  for (const ParamLayout::Block& block : rows.layout.blocks)
    row.push_back(device.tensor({block.end - block.begin}, rows.dtype));
  return row;
}

DeviceRow make_gradients_row(Device& device, const DeviceRows& rows) {
  std::vector<Tensor> tensors;
  for (const Range& region : rows.regions.regions)
    tensors.push_back(device.tensor({region.size()}));
  return rows.blocks_of(tensors);
}

Tensor Carrier::make_sums(std::size_t bucket) {
  const Range owned = parts_.exchange.owned(bucket);
  if (owned.empty()) return {};
  return parts_.exchange.sum_place() == SumPlace::in_place
             ? parts_.rows.part(parts_.rows.slots.at(0), owned)
             : parts_.device.tensor({owned.size()});
}

void Carrier::take(const Range& part, std::span<const std::byte> values) {
  const std::span<std::byte> to = host_values(part);
  if (to.data() != values.data()) std::copy(values.begin(), values.end(), to.begin());
}

std::span<float> Carrier::host_slot(std::size_t slot, const Range& range) const {
  return parts_.exchange.gradients({parts_.exchange.my_peer(), slot}, range);
}

std::span<std::byte> Carrier::host_values(const Range& range) const {
  return parts_.exchange.values(parts_.exchange.my_peer(), range);
}

DeviceRow Carrier::wrap_values() {
  const std::size_t me = parts_.exchange.my_peer();
  DeviceRow row;
  for (const ParamLayout::Block& block : parts_.rows.layout.blocks)
    row.push_back(parts_.device.wrap(host_values({block.begin, block.end}), parts_.rows.dtype,
                                     parts_.exchange.memory({me, 0})));
  return row;
}

DeviceRow Carrier::wrap_slot(Place place) {
  const std::span<float> gradients = parts_.exchange.gradients(place);
  std::vector<Tensor> tensors;
  for (const Range& region : parts_.rows.regions.regions)
    tensors.push_back(
        parts_.device.wrap(part_of(gradients, region), parts_.exchange.memory(place)));
  return parts_.rows.blocks_of(tensors);
}

void Carrier::wait_for_gradients(const Event& ready, std::size_t bucket) {
  parts_.comm.recorder().begin("wait for the device", static_cast<int>(bucket));
  wait_for_device(parts_.comm, parts_.exchange, [&] { return ready.is_done(); });
  parts_.comm.recorder().end();
}

void Carrier::wait_for_values(const Event& updated) {
  wait_for_device(parts_.comm, parts_.exchange, [&] { return updated.is_done(); });
}

std::unique_ptr<Carrier> make_carrier(const CarrierParts& parts, HostMemory memory) {
  const DeviceInfo& info = parts.device.info();
  if (memory == HostMemory::automatic) memory = memory_that_suits(info);
  if (memory == HostMemory::in_place) return with_rows(make_carrier_in_place(parts), parts.rows);
  if (memory == HostMemory::mapped) {
    std::string fault;
    try {
      fault = find_unified_memory_fault(parts.device);
      if (fault.empty()) return with_rows(make_carrier_mapped(parts), parts.rows);
    } catch (const DeviceError& error) {
      fault = error.what();
    }
    log::warn(
        "{} says that it shares the host's memory, but does not as it should ({}): gradients and "
        "parameters are copied",
        info.name, fault);
  }
  return with_rows(make_carrier_copied(parts), parts.rows);
}

}  // namespace motley
