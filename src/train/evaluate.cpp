#include "train/evaluate.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "dist/agree.h"
#include "dist/shard_plan.h"
#include "tensor/error.h"
#include "train/train_step.h"

namespace motley {
namespace {

/// The sums of one rank's samples.
struct Sums {
  double loss = 0;
  double tokens = 0;
};

Sums evaluate_samples(Device& device, Decoder& decoder, const Dataset& dataset,
                      const Range& samples, const EvaluationSettings& settings,
                      FlightRecorder& recorder) {
  Stream& s = device.stream();
  Sums sums;
  if (samples.empty()) return sums;
  const MicroBatchShape shape = settings.shape;
  BatchSlot slot(device, shape.B, shape.T);
  Tensor loss_sum = device.zeros({1});
  const Recording recording(
      s,
      [&] {
        s.fill(loss_sum);
        decoder.evaluate(s, slot.batch(), loss_sum);
      },
      settings.lender);
  // Each micro-batch has a sum of its own: a float adds thousands of losses well, not millions.
  for (std::size_t first = samples.begin; first < samples.end; first += shape.B) {
    std::vector<std::uint64_t> indices(std::min(shape.B, samples.end - first));
    std::iota(indices.begin(), indices.end(), first);
    const Batch batch = make_batch(dataset, indices, {shape.B, shape.T});
    slot.start_upload(s, host_batch(batch));
    recording.replay();
    std::vector<float> loss(1);
    s.read<float>(loss, loss_sum);
    sums.loss += loss[0];
    sums.tokens += static_cast<double>(batch.num_targets);
    recorder.renew();
  }
  return sums;
}

/// Bytes of source text for each token of the split.
std::optional<double> bytes_per_token(const Dataset& dataset) {
  const std::optional<std::uint64_t> bytes = dataset.text_bytes();
  if (!bytes || *bytes == 0) return std::nullopt;
  return static_cast<double>(*bytes) / static_cast<double>(dataset.num_tokens());
}

/// This rank's samples. Throws when the model and the data give none.
Range samples_of(const Communicator& comm, const Decoder& decoder, const Dataset& dataset,
                 const EvaluationSettings& settings) {
  const auto [B, T] = settings.shape;
  require<ConfigError>(B > 0 && T > 0 && T <= decoder.config().context, "eval.shape",
                       "cannot evaluate {} sequences of {} tokens at a time; both must be at least "
                       "1, and a sequence at most the model's context of {}",
                       B, T, decoder.config().context);
  std::uint64_t num_samples = dataset.num_samples(T);
  if (settings.max_tokens > 0)
    num_samples = std::min(num_samples, std::max<std::uint64_t>(settings.max_tokens / T, 1));
  require<DataError>(
      num_samples > 0, "data.too-short",
      "the validation split has {} tokens, fewer than one sequence of {}: use a larger --val or "
      "a smaller train.sequence",
      dataset.num_tokens(), T);
  return split_evenly(num_samples,
                      static_cast<std::size_t>(comm.size()))[static_cast<std::size_t>(comm.rank())];
}

}  // namespace

Evaluation evaluate(Device& device, Communicator& comm, Decoder& decoder, const Dataset& dataset,
                    const EvaluationSettings& settings) {
  const Range mine =
      agree(comm, "evaluating", [&] { return samples_of(comm, decoder, dataset, settings); });
  const Sums sums = agree(comm, "evaluating", [&] {
    return evaluate_samples(device, decoder, dataset, mine, settings, comm.recorder());
  });
  std::vector<double> totals{sums.loss, sums.tokens};
  comm.all_reduce_sum(totals);
  Evaluation result;
  result.loss = totals[0] / totals[1];
  result.tokens = static_cast<std::uint64_t>(totals[1]);
  agree(comm, "evaluating", [&] {
    require<NumericError>(
        std::isfinite(result.loss), "numeric.loss",
        "the validation loss is {}; the model has diverged: resume from an earlier checkpoint "
        "with a lower optim.lr",
        result.loss);
  });
  result.perplexity = std::exp(result.loss);
  if (const auto bytes = bytes_per_token(dataset))
    result.bits_per_byte = result.loss / std::log(2.0) / *bytes;
  return result;
}

}  // namespace motley
