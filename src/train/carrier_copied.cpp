// For devices with memory of their own, and any other on request: gradients and parameters are
// copied through page-locked memory (tensor/staging.h), on a stream beside the one that computes.
// Where this rank's sums leave the host as they are, and go as bf16, the device rounds them first:
// half the bytes cross the bus.
#include <optional>

#include "dist/host_adder.h"
#include "tensor/staging.h"
#include "train/gradient_carrier.h"

namespace motley {
namespace {

class Copied final : public Carrier {
 public:
  explicit Copied(const CarrierParts& parts)
      : Carrier(parts),
        adder_(parts.exchange),
        staging_(parts.stream),
        rounded_(parts.rows.layout.buckets.size()),
        rounded_regions_(parts.rows.regions.regions.size()) {}

  HostMemory kind() const override { return HostMemory::copied; }
  DeviceRow make_values() override { return make_values_row(parts_.device, parts_.rows); }
  DeviceRow make_slot(std::size_t) override {
    return make_gradients_row(parts_.device, parts_.rows);
  }
  Adder& adder() override { return adder_; }

  void begin_step(std::size_t num_nodes) override {
    Carrier::begin_step(num_nodes);
    // With peers or several nodes a sum is added to others on this host, in f32, before it leaves.
    rounds_ =
        parts_.exchange.wire() == Wire::bf16 && parts_.exchange.num_peers() == 1 && num_nodes == 1;
  }
  Tensor* rounded(std::size_t bucket) override {
    if (!rounds_) return nullptr;
    std::optional<Tensor>& tensor = rounded_.at(bucket);
    if (!tensor) tensor = make_rounded(bucket);
    return &*tensor;
  }

  Rounded publish(std::size_t bucket, const Event& ready) override {
    if (rounds_) {
      read_rounded(bucket, ready);
    } else {
      for (std::size_t slot = 0; slot < num_nodes(); ++slot)
        read_gradients(slot, parts_.rows.range_of(bucket), ready);
    }
    advance();  // begins as soon as the device is ready
    wait_for_gradients(ready, bucket);
    finish_copies("copy from the device", bucket);
    return rounds_ ? Rounded::yes : Rounded::no;
  }
  void collect(std::size_t bucket) override {
    staging_.write<float>(parts_.rows.sums.at(bucket), parts_.exchange.sums(bucket));
    advance();
  }
  void finish_reduce() override {
    finish_copies("copy to the device", parts_.rows.layout.buckets.size() - 1);
  }

  void offer(std::size_t bucket, const Event& updated) override {
    const Range owned = parts_.exchange.owned(bucket);
    staging_.read(host_values(owned), part(parts_.rows.values, owned), updated);
    advance();
    wait_for_values(updated);
    finish_copies("copy from the device", bucket);
  }
  void take(const Range& range, std::span<const std::byte> values) override {
    staging_.write(part(parts_.rows.values, range), values);
    advance();
  }
  Range finish_gather(std::size_t bucket) override {
    finish_copies("copy to the device", bucket);
    return {bucket, bucket + 1};
  }

 private:
  Tensor part(const DeviceRow& row, const Range& range) const {
    return range.empty() ? Tensor() : parts_.rows.part(row, range);
  }
  /// Where gradients take turns in a place, so do they when they are rounded.
  Tensor make_rounded(std::size_t bucket) {
    const DeviceRows& rows = parts_.rows;
    const std::size_t block = rows.layout.buckets[bucket].block;
    const std::size_t index = rows.regions.of_block[block];
    std::optional<Tensor>& region = rounded_regions_[index];
    if (!region) region = parts_.device.tensor({rows.regions.regions[index].size()}, Dtype::bf16);
    const Range range = rows.range_of(bucket);
    const std::size_t begin = rows.layout.blocks[block].begin;
    return region->slice(range.begin - begin, range.end - begin);
  }
  void read_gradients(std::size_t slot, const Range& range, const Event& ready) {
    staging_.read<float>(host_slot(slot, range), part(parts_.rows.slots.at(slot), range), ready);
  }
  /// The owned part as it is, since its owner adds in f32; what others own to the outbox.
  void read_rounded(std::size_t bucket, const Event& ready) {
    const Range all = parts_.rows.range_of(bucket);
    const Range owned = parts_.exchange.owned(bucket);
    const std::span<std::uint16_t> outbox = parts_.exchange.outbox(bucket);
    const auto read = [&](std::size_t begin, std::size_t end) {
      const std::span<std::uint16_t> to = outbox.subspan(begin - all.begin, end - begin);
      if (!to.empty())
        staging_.read(to, rounded_[bucket]->slice(begin - all.begin, end - all.begin), ready);
    };
    read(all.begin, owned.begin);
    read_gradients(0, owned, ready);
    read(owned.end, all.end);
  }

  void advance() {
    while (staging_.advance()) parts_.exchange.progress();
  }
  void finish_copies(std::string_view what, std::size_t bucket) {
    if (staging_.is_idle()) return;
    parts_.comm.recorder().begin(what, static_cast<int>(bucket));
    wait_until([&] {
      advance();
      return staging_.is_idle();
    });
    parts_.comm.recorder().end();
  }

  HostAdder adder_;
  Staging staging_;
  bool rounds_ = false;
  std::vector<std::optional<Tensor>> rounded_;          // by bucket, bf16
  std::vector<std::optional<Tensor>> rounded_regions_;  // where these lie
};

}  // namespace

std::unique_ptr<Carrier> make_carrier_copied(const CarrierParts& parts) {
  return std::make_unique<Copied>(parts);
}

}  // namespace motley
