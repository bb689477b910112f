#include "train/train_step.h"

#include <vector>

#include "dist/agree.h"
#include "kernels/ops.h"

namespace motley {
namespace {

std::vector<Bucket> reducer_buckets(ParamStore& params) {
  std::vector<Bucket> buckets;
  for (const ParamBucket& bucket : params.buckets())
    buckets.push_back({bucket.gradients, bucket.values});
  return buckets;
}

std::vector<Range> owned_ranges(const BucketReducer& reducer) {
  std::vector<Range> owned;
  for (std::size_t i = 0; i < reducer.num_buckets(); ++i) owned.push_back(reducer.owned(i));
  return owned;
}

}  // namespace

DeviceBatch upload(Device& device, const Batch& batch) {
  return upload_batch(device, batch.num_sequences, batch.sequence_length, batch.tokens,
                      batch.targets, batch.index);
}

TrainStep::TrainStep(Device& device, Communicator& comm, const ModelConfig& config,
                     Recompute recompute, const OptimSettings& settings)
    : device_(device),
      comm_(comm),
      settings_(settings),
      params_(device, config),
      decoder_(device, config, params_, recompute),
      reducer_(comm, device.stream(), reducer_buckets(params_)),
      optimizer_(device, params_, owned_ranges(reducer_), settings),
      loss_sum_(device.zeros({1})),
      squares_(device.zeros({2})),
      partials_(device.zeros({static_cast<std::size_t>(comm.size()), 2})),
      control_(device.zeros({3})) {}

StepResult TrainStep::run(std::size_t num_leaves, const NextLeaf& next_leaf,
                          const UpdateStep& update) {
  Stream& s = device_.stream();
  const std::uint64_t tokens = accumulate_gradients(num_leaves, next_leaf);
  reducer_.finish();
  s.fill(squares_);
  for (std::size_t i = 0; i < params_.buckets().size(); ++i) {
    const Range owned = reducer_.owned(i);
    op::sum_squares(s, squares_, params_.buckets()[i].gradients.slice(owned.begin, owned.end),
                    op::Into::accumulate);
  }
  StepResult result = combine(read_sums(tokens));
  op::clip_factor(s, control_, partials_, static_cast<float>(settings_.clip),
                  static_cast<double>(result.tokens));
  for (std::size_t i = 0; i < params_.buckets().size(); ++i) {
    optimizer_.update(s, i, control_, update);
    reducer_.gather_parameters(i);
  }
  std::vector<float> control(3);
  s.read<float>(control, control_);
  result.gradient_norm = control[1];
  // Finite gradients whose squares overflow stop the update too; what stops it must be told.
  if (control[2] > 0 && result.non_finite == 0)
    result.non_finite = static_cast<std::uint64_t>(control[2]);
  return result;
}

std::uint64_t TrainStep::accumulate_gradients(std::size_t num_leaves, const NextLeaf& next_leaf) {
  Stream& s = device_.stream();
  const auto ready = [this](std::size_t bucket) { reducer_.on_bucket_ready(bucket); };
  params_.zero_gradients(s);
  s.fill(loss_sum_);
  std::uint64_t tokens = 0;
  for (std::size_t leaf = 0; leaf < num_leaves; ++leaf) {
    const Batch batch = next_leaf();
    const DeviceBatch on_device = upload(device_, batch);
    tokens += batch.num_targets;
    decoder_.forward(s, on_device);
    decoder_.backward(s, on_device, loss_sum_,
                      leaf + 1 == num_leaves ? OnBucketReady(ready) : nullptr);
    s.flush();
  }
  if (num_leaves == 0) {
    for (std::size_t bucket = 0; bucket < params_.buckets().size(); ++bucket) ready(bucket);
  }
  return tokens;
}

TrainStep::Sums TrainStep::read_sums(std::uint64_t tokens) {
  std::vector<float> loss(1);
  std::vector<float> squares(2);
  device_.stream().read<float>(loss, loss_sum_);
  device_.stream().read<float>(squares, squares_);
  return {.loss = loss[0], .tokens = tokens, .squares = squares[0], .non_finite = squares[1]};
}

StepResult TrainStep::combine(const Sums& mine) {
  std::vector<Sums> all(static_cast<std::size_t>(comm_.size()));
  comm_.all_gather(std::as_writable_bytes(std::span(all)), std::as_bytes(std::span(&mine, 1)));
  StepResult result;
  std::vector<float> partials;
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    const Sums& sums = all[rank];
    result.loss += sums.loss;
    result.tokens += sums.tokens;
    result.non_finite += static_cast<std::uint64_t>(sums.non_finite);
    if (sums.non_finite > 0 && result.first_bad_rank < 0)
      result.first_bad_rank = static_cast<int>(rank);
    partials.push_back(sums.squares);
    partials.push_back(sums.non_finite);
  }
  agree(comm_, "counting the tokens of a step", [&] {
    require<DataError>(result.tokens > 0, "data.no-targets",
                       "a step has no token to predict; check the data set");
  });
  result.loss /= static_cast<double>(result.tokens);
  device_.stream().write<float>(partials_, partials);
  return result;
}

void TrainStep::initialize(std::uint64_t seed) {
  params_.initialize(device_.stream(), seed);
  broadcast_parameters();
}

void TrainStep::broadcast_parameters() {
  if (comm_.size() == 1) return;
  for (const ParamBucket& bucket : params_.buckets()) {
    const HostView<float> view = device_.stream().map<float>(bucket.values, Access::read_write);
    comm_.broadcast(std::as_writable_bytes(view.span()), 0);
  }
}

}  // namespace motley
