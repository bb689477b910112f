// One micro-batch on the host, ready to be copied to a device, and the source that makes leaves of
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/token_index.h"
#include "model/batch.h"
#include "train/dataset.h"
#include "train/sample_order.h"

namespace motley {

/// B sequences of T tokens with their targets, row-major.
struct Batch {
  std::size_t num_sequences = 0;      ///< B
  std::size_t sequence_length = 0;    ///< T
  std::vector<std::int32_t> tokens;   ///< [B * T], each below the vocabulary
  std::vector<std::int32_t> targets;  ///< [B * T], op::ignored_target in padding
  HostTokenIndex index;               ///< positions by token, for the embedding's gradient
  std::uint64_t num_targets = 0;      ///< those that are not ignored
};

/// The shape of a micro-batch.
/// As BatchSlot takes it. `batch` has to stay.
inline HostBatch host_batch(const Batch& batch) {
  return {batch.tokens, batch.targets, batch.index};
}

struct BatchShape {
  std::size_t num_sequences = 1;
  std::size_t sequence_length = 1;
};

/// Reads samples into a batch. Sequences past samples.size() are padding: token 0, target ignored,
/// so that the last batch of an evaluation has the shape of all others. Throws DataError when there
/// are more samples than sequences, or one does not exist.
Batch make_batch(const Dataset& dataset, std::span<const std::uint64_t> samples,
                 const BatchShape& shape);

/// How a training step is cut: it has `leaves_per_step` micro-batches of one shape.
struct LeafShape {
  BatchShape batch;
  std::size_t leaves_per_step = 1;
};

/// The leaves of every step: leaf g of step k holds samples [(k * G + g) * B, +B) of the permuted
/// order, where the order goes on through all epochs. Which rank computes a leaf changes nothing in
/// it. The dataset must outlive the source. Making leaves is const and may happen on several
/// threads.
class LeafSource {
 public:
  /// Throws DataError when the data hold no sample of this length.
  LeafSource(const Dataset& dataset, std::uint64_t seed, const LeafShape& shape);

  Batch leaf(std::uint64_t step, std::size_t leaf) const;
  std::uint64_t num_samples() const { return order_.num_samples(); }
  /// Passes over the data when `step` starts, as a fraction.
  double epochs_before(std::uint64_t step) const;
  const LeafShape& shape() const { return shape_; }

 private:
  const Dataset* dataset_;
  LeafShape shape_;
  SampleOrder order_;
};

}  // namespace motley
