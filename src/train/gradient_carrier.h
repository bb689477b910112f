// How numbers get between a device and the memory that the ranks of its host share
// (dist/exchange.h): not at all, because the device works there; by handing that memory back and
// forth; or by copies. GradientReducer does the same around all three.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "dist/exchange.h"
#include "model/params.h"
#include "tensor/device.h"
#include "train/gradient_ring.h"

namespace motley {

/// Where a device's parameters and gradients lie.
enum class HostMemory {
  automatic,  // what suits the device
  in_place,   // in the ranks' memory, which device and host see alike: CPUs
  mapped,     // in the ranks' memory, by turns the device's and the host's: unified memory
  copied      // in the device's own memory
};
std::string_view to_string(HostMemory memory);

/// A row of all parameters or gradients on a device, a tensor for each block of the layout.
using DeviceRow = std::vector<Tensor>;

/// What a device holds. Slot 0 is where backward writes; the others hold sums put aside. In a slot,
/// blocks of the same region lie in the same memory.
struct DeviceRows {
  ParamLayout layout;
  GradientRegions regions;
  Dtype dtype = Dtype::f32;  // of values
  DeviceRow values = {};
  std::vector<DeviceRow> slots = {};
  std::vector<Tensor> sums = {};  // by bucket: of what this rank owns, [owned size]

  Range range_of(std::size_t bucket) const {
    return {layout.buckets.at(bucket).begin, layout.buckets.at(bucket).end};
  }
  /// Elements `range` of the row, which lie in one block, as a view.
  Tensor part(const DeviceRow& row, const Range& range) const;
  /// The row of gradients in a tensor for each region.
  DeviceRow blocks_of(const std::vector<Tensor>& tensors) const;
};
/// Rows in the device's own memory.
DeviceRow make_values_row(Device& device, const DeviceRows& rows);
DeviceRow make_gradients_row(Device& device, const DeviceRows& rows);

/// Returns when done(), which asks for a device's work, is true. Messages move on meanwhile: MPI
/// works only when it is called.
template <class Done>
void wait_for_device(Communicator& comm, Exchange& exchange, Done done) {
  comm.wait_until([&] { return done() || exchange.progress(); });
  comm.wait_until(done, Backoff::For::device);
}

/// What a carrier works with; all of it outlives the carrier.
struct CarrierParts {
  Device& device;
  Communicator& comm;
  Exchange& exchange;
  DeviceRows& rows;
  Stream& stream;  // the communication thread's own
};

/// The order of calls is that of Exchange, around which this stands. What is not said to be the
/// main thread's is the communication thread's. Waiting lets messages of other buckets move on.
class Carrier {
 public:
  explicit Carrier(const CarrierParts& parts) : parts_(parts) {}
  Carrier(const Carrier&) = delete;
  Carrier& operator=(const Carrier&) = delete;
  virtual ~Carrier() = default;

  virtual HostMemory kind() const = 0;
  /// Main thread: memory for the rows. Slots that the exchange has no room for are the device's
  /// alone.
  virtual DeviceRow make_values() = 0;
  virtual DeviceRow make_slot(std::size_t index) = 0;
  /// Main thread: where the sums of this rank's part of a bucket come to be; slot 0 exists.
  virtual Tensor make_sums(std::size_t bucket);
  /// Adds what lies in the memory of this host.
  virtual Adder& adder() = 0;

  /// Main thread: how many nodes this rank will have in its slots in this step.
  virtual void begin_step(std::size_t num_nodes) { num_nodes_ = num_nodes; }
  /// Main thread: where the bucket's gradients are to go rounded to bf16 as well; null: nowhere.
  virtual Tensor* rounded(std::size_t) { return nullptr; }
  /// The bucket whose event publish() needs.
  virtual std::size_t last_needed(std::size_t bucket) const { return bucket; }

  /// The bucket's gradients, complete at `ready`, reach the host. Says whether those for other
  /// hosts are in the exchange's outbox already.
  virtual Rounded publish(std::size_t bucket, const Event& ready) = 0;
  /// This rank is done with the gradients of the bucket on its host: the device gets them back.
  virtual void release(std::size_t) {}
  /// All sums of this rank's part are in the exchange's sums(bucket): they begin to come to the
  /// device.
  virtual void collect(std::size_t) {}
  /// Returns when all that was collected is there.
  virtual void finish_reduce() {}

  /// The values of this rank's part, right at `updated`, reach the host.
  virtual void offer(std::size_t bucket, const Event& updated) = 0;
  /// Another rank's values, which stay where they are for now, begin to come to the device.
  virtual void take(const Range& part, std::span<const std::byte> values);
  /// All parts of the bucket were taken; buckets come in falling order. Returns when they are
  /// there: the buckets of which that can be said now and could not before.
  virtual Range finish_gather(std::size_t bucket) { return {bucket, bucket + 1}; }

 protected:
  std::size_t num_nodes() const { return num_nodes_; }
  /// How many slots hold nodes or are written by the exchange: at least slot 0.
  std::size_t num_used_slots() const { return num_nodes_ > 1 ? num_nodes_ : 1; }
  /// This rank's memory as its host sees it; `range` lies in one bucket.
  std::span<float> host_slot(std::size_t slot, const Range& range) const;
  std::span<std::byte> host_values(const Range& range) const;
  /// Rows over this host's memory.
  DeviceRow wrap_values();
  DeviceRow wrap_slot(Place place);
  bool has_slot(std::size_t index) const { return index < parts_.exchange.room().slots; }

  void wait_for_gradients(const Event& ready, std::size_t bucket);
  void wait_for_values(const Event& updated);
  /// Returns when done() is true; not for what takes long.
  template <class Done>
  void wait_until(Done done) {
    parts_.comm.wait_until([&] {
      parts_.exchange.progress();
      return done();
    });
  }

  CarrierParts parts_;

 private:
  std::size_t num_nodes_ = 0;
};

/// The carrier for a device, and the rows' memory with it: values, slot 0 and sums. automatic: what
/// suits the device; where memory cannot be shared with it after all, a warning, and copies.
std::unique_ptr<Carrier> make_carrier(const CarrierParts& parts, HostMemory memory);

// Each in the file of its name.
std::unique_ptr<Carrier> make_carrier_in_place(const CarrierParts& parts);
std::unique_ptr<Carrier> make_carrier_mapped(const CarrierParts& parts);
std::unique_ptr<Carrier> make_carrier_copied(const CarrierParts& parts);

}  // namespace motley
