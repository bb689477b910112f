// For CPU devices: the device works in the memory that ranks share, and kernels do the additions
// there. Nothing has to be carried. OpenCL promises such memory to the host between map and unmap
// only; but a CPU device has no other memory than the host's, and maps on each bucket of a step
// would cost more than they are worth.
#include "kernels/ops.h"
#include "train/gradient_carrier.h"

namespace motley {
namespace {

class InPlace final : public Carrier, private Adder {
 public:
  explicit InPlace(const CarrierParts& parts) : Carrier(parts) {}

  HostMemory kind() const override { return HostMemory::in_place; }
  DeviceRow make_values() override { return wrap_values(); }
  DeviceRow make_slot(std::size_t index) override {
    if (!has_slot(index)) return make_gradients_row(parts_.device, parts_.rows);
    return wrap_slot({parts_.exchange.my_peer(), index});
  }
  Tensor make_sums(std::size_t bucket) override {
    const Exchange& exchange = parts_.exchange;
    if (exchange.sum_place() == SumPlace::in_place || exchange.owned(bucket).empty())
      return Carrier::make_sums(bucket);
    return parts_.device.wrap(exchange.sums(bucket), exchange.sums_memory());
  }
  Adder& adder() override { return *this; }

  Rounded publish(std::size_t bucket, const Event& ready) override {
    wait_for_gradients(ready, bucket);
    return Rounded::no;
  }
  void offer(std::size_t, const Event& updated) override { wait_for_values(updated); }

 private:
  void add(const Range& part, Place into, Place from) override {
    const DeviceRows& rows = parts_.rows;
    Tensor sum = rows.part(row_of(into), part);
    op::add(parts_.stream, sum, rows.part(row_of(from), part));
  }
  void finish() override { parts_.stream.finish(); }

  const DeviceRow& row_of(Place place) {
    const Exchange& exchange = parts_.exchange;
    if (place.peer == exchange.my_peer()) return parts_.rows.slots.at(place.slot);
    const std::size_t index = place.slot * exchange.num_peers() + place.peer;
    if (peers_.size() <= index) peers_.resize(index + 1);
    if (peers_[index].empty()) peers_[index] = wrap_slot(place);
    return peers_[index];
  }

  std::vector<DeviceRow> peers_;
};

}  // namespace

std::unique_ptr<Carrier> make_carrier_in_place(const CarrierParts& parts) {
  return std::make_unique<InPlace>(parts);
}

}  // namespace motley
