#include "train/batch.h"

#include <string>

#include "kernels/ops.h"
#include "tensor/checked.h"
#include "tensor/error.h"

namespace motley {
namespace {

/// How many samples of T tokens there are. Throws where there is none.
std::uint64_t count_samples(const Dataset& dataset, std::size_t T) {
  const std::uint64_t count = dataset.num_samples(T);
  if (count > 0) return count;
  const std::string file =
      dataset.num_shards() == 0 ? "the data set" : dataset.shard(0).path().string();
  fail<DataError>("data.too-small",
                  "{}: its split has {} tokens and so no sample; a sample of {} tokens needs {} of "
                  "them: use more text or a shorter train.sequence",
                  file, dataset.num_tokens(), T, T + 1);
}

}  // namespace

Batch make_batch(const Dataset& dataset, std::span<const std::uint64_t> samples,
                 const BatchShape& shape) {
  require<DataError>(samples.size() <= shape.num_sequences, "data.batch",
                     "{} samples do not fit a batch of {} sequences", samples.size(),
                     shape.num_sequences);
  const std::size_t T = shape.sequence_length;
  const std::size_t size = checked_mul(shape.num_sequences, T);
  Batch batch{.num_sequences = shape.num_sequences,
              .sequence_length = T,
              .tokens = std::vector<std::int32_t>(size, 0),
              .targets = std::vector<std::int32_t>(size, op::ignored_target),
              .index = {},
              .num_targets = std::uint64_t{samples.size()} * T};
  std::vector<std::uint32_t> sample(checked_add(T, 1));
  for (std::size_t row = 0; row < samples.size(); ++row) {
    dataset.read_sample(samples[row], sample);
    for (std::size_t t = 0; t < T; ++t) {
      batch.tokens[row * T + t] = narrow<std::int32_t>(sample[t]);
      batch.targets[row * T + t] = narrow<std::int32_t>(sample[t + 1]);
    }
  }
  batch.index = index_tokens(batch.tokens);
  return batch;
}

LeafSource::LeafSource(const Dataset& dataset, std::uint64_t seed, const LeafShape& shape)
    : dataset_(&dataset),
      shape_(shape),
      order_(seed, count_samples(dataset, shape.batch.sequence_length)) {}

Batch LeafSource::leaf(std::uint64_t step, std::size_t leaf) const {
  require<DataError>(leaf < shape_.leaves_per_step, "data.batch",
                     "leaf {} was asked for, but a step has {}", leaf, shape_.leaves_per_step);
  const std::uint64_t B = shape_.batch.num_sequences;
  const std::uint64_t first =
      checked_mul(checked_add(checked_mul(step, shape_.leaves_per_step), leaf), B);
  std::vector<std::uint64_t> samples(B);
  for (std::uint64_t i = 0; i < B; ++i) samples[i] = order_.sample(first + i);
  return make_batch(*dataset_, samples, shape_.batch);
}

double LeafSource::epochs_before(std::uint64_t step) const {
  const std::uint64_t seen =
      checked_mul(checked_mul(step, shape_.leaves_per_step), shape_.batch.num_sequences);
  return static_cast<double>(seen) / static_cast<double>(order_.num_samples());
}

}  // namespace motley
