// For devices that share the host's memory but may keep parts of it in caches of their own
// (integrated GPUs): the device works in the memory that ranks share, and between map and unmap,
// as OpenCL has it (1.2, 5.4.3), that memory is the host's. Memory is handed over by whole blocks:
// a buffer may not be mapped while kernels write another part of it.
#include "dist/host_adder.h"
#include "train/gradient_carrier.h"

namespace motley {
namespace {

class Mapped final : public Carrier {
 public:
  explicit Mapped(const CarrierParts& parts)
      : Carrier(parts),
        adder_(parts.exchange),
        gradients_(parts.rows.layout.blocks.size()),
        values_(parts.rows.layout.blocks.size()) {}

  HostMemory kind() const override { return HostMemory::mapped; }
  DeviceRow make_values() override { return wrap_values(); }
  DeviceRow make_slot(std::size_t index) override {
    if (!has_slot(index)) return make_gradients_row(parts_.device, parts_.rows);
    return wrap_slot({parts_.exchange.my_peer(), index});
  }
  Adder& adder() override { return adder_; }

  /// Until then kernels may write to the block.
  std::size_t last_needed(std::size_t bucket) const override { return buckets_of(bucket).end - 1; }

  Rounded publish(std::size_t bucket, const Event& ready) override {
    wait_for_gradients(ready, bucket);
    if (bucket != buckets_of(bucket).begin) return Rounded::no;  // came with the first of its block
    for (std::size_t slot = 0; slot < num_used_slots(); ++slot)
      map(gradients_.at(block_of(bucket)), parts_.rows.slots.at(slot).at(block_of(bucket)), ready);
    return Rounded::no;
  }
  void release(std::size_t bucket) override {
    if (bucket + 1 == buckets_of(bucket).end) unmap(gradients_.at(block_of(bucket)));
  }
  /// In rounds, sums are in the host's memory alone.
  void collect(std::size_t bucket) override {
    if (parts_.exchange.sum_place() == SumPlace::in_place) return;
    const Range owned = parts_.exchange.owned(bucket);
    if (!owned.empty())
      parts_.stream.write<float>(parts_.rows.sums.at(bucket), parts_.exchange.sums(bucket));
  }

  void offer(std::size_t bucket, const Event& updated) override {
    wait_for_values(updated);
    // The first that comes: buckets are gathered in falling order.
    if (bucket + 1 == buckets_of(bucket).end)
      map(values_.at(block_of(bucket)), parts_.rows.values.at(block_of(bucket)), updated);
  }
  Range finish_gather(std::size_t bucket) override {
    const Range buckets = buckets_of(bucket);
    if (bucket != buckets.begin) return {bucket, bucket};
    unmap(values_.at(block_of(bucket)));
    return buckets;
  }

 private:
  /// A buffer that is the host's for now.
  struct Mapping {
    Tensor tensor;
    void* data = nullptr;
  };

  std::size_t block_of(std::size_t bucket) const {
    return parts_.rows.layout.buckets.at(bucket).block;
  }
  /// The buckets that share a buffer with one.
  Range buckets_of(std::size_t bucket) const {
    const std::size_t size = parts_.rows.layout.buckets.size();
    Range range{bucket, bucket + 1};
    while (range.begin > 0 && block_of(range.begin - 1) == block_of(bucket)) --range.begin;
    while (range.end < size && block_of(range.end) == block_of(bucket)) ++range.end;
    return range;
  }

  void map(std::vector<Mapping>& mappings, const Tensor& tensor, const Event& after) {
    Mapping& mapping = mappings.emplace_back(Mapping{tensor});
    const Event done = parts_.stream.start_map(mapping.data, tensor, &after);
    parts_.stream.flush();
    wait_until([&] { return done.is_done(); });
  }
  void unmap(std::vector<Mapping>& mappings) {
    if (mappings.empty()) return;
    for (const Mapping& mapping : mappings) parts_.stream.start_unmap(mapping.tensor, mapping.data);
    const Event done = parts_.stream.mark();
    wait_until([&] { return done.is_done(); });
    mappings.clear();
  }

  HostAdder adder_;
  std::vector<std::vector<Mapping>> gradients_;  // by block, as are values
  std::vector<std::vector<Mapping>> values_;
};

}  // namespace

std::unique_ptr<Carrier> make_carrier_mapped(const CarrierParts& parts) {
  return std::make_unique<Mapped>(parts);
}

}  // namespace motley
