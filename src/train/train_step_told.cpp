// What ranks tell each other in a step besides gradients, and what it comes to.
#include <algorithm>
#include <cstring>

#include "kernels/ops.h"
#include "tensor/checked.h"
#include "train/train_step.h"

namespace motley {
namespace {

/// Takes a value out of the front of some bytes.
template <class T>
void take(std::span<const std::byte>& bytes, std::span<T> values) {
  std::memcpy(values.data(), bytes.data(), values.size_bytes());
  bytes = bytes.subspan(values.size_bytes());
}

template <class T>
void append(std::vector<std::byte>& bytes, std::span<const T> values) {
  const auto more = std::as_bytes(values);
  bytes.insert(bytes.end(), more.begin(), more.end());
}

}  // namespace

std::size_t TrainStep::num_chunks_of(const Range& range) {
  return ceil_div(range.size(), op::squares_chunk);
}

std::size_t TrainStep::num_owned_chunks(std::size_t rank) const {
  std::size_t chunks = 0;
  for (std::size_t i = 0; i < reducer_.num_buckets(); ++i)
    chunks += num_chunks_of(reducer_.shards(i)[rank]);
  return chunks;
}

TrainStep::Told TrainStep::tell_all(const LeafDeal& deal, Report mine) {
  std::vector<std::vector<std::size_t>> leaves;  // by rank
  leaves.reserve(static_cast<std::size_t>(comm_.size()));
  for (int rank = 0; rank < comm_.size(); ++rank) leaves.push_back(deal.leaves(rank));
  const auto me = static_cast<std::size_t>(comm_.rank());
  Stream& s = device_.stream();
  std::vector<float> sums(owned_sums_.size());
  std::vector<float> losses(leaves[me].size());
  std::vector<Event> reads;
  const auto start_read = [&](std::vector<float>& values, const Tensor& from) {
    if (!values.empty())
      reads.push_back(s.start_read(std::as_writable_bytes(std::span(values)), from, 0));
  };
  start_read(sums, owned_sums_);
  start_read(losses, losses_.slice(0, losses.size()));
  // Waits, after which the others are as good as done.
  const GradientReducer::NonFinite bad = reducer_.count_non_finite();
  for (const Event& read : reads) read.wait();
  mine.non_finite = bad.count;
  mine.first_bad_bucket = bad.first_bucket;
  std::vector<std::byte> bytes;
  append(bytes, std::span<const Report>(&mine, 1));
  append(bytes, std::span<const float>(losses));
  append(bytes, std::span<const float>(sums));
  std::vector<Range> shards;
  std::size_t end = 0;
  for (std::size_t rank = 0; rank < leaves.size(); ++rank) {
    const std::size_t begin = end;
    end += sizeof(Report) + (leaves[rank].size() + 2 * num_owned_chunks(rank)) * sizeof(float);
    shards.push_back({begin, end});
  }
  std::vector<std::byte> all(end);
  std::copy(bytes.begin(), bytes.end(),
            all.begin() + static_cast<std::ptrdiff_t>(shards[me].begin));
  comm_.all_gather_shards(std::span(all), shards);

  Told told{.reports = std::vector<Report>(shards.size()),
            .loss = 0,
            .sums = std::vector<float>(2 * num_chunks_)};
  std::vector<float> leaf_losses(deal.num_leaves);
  for (std::size_t rank = 0; rank < shards.size(); ++rank) {
    std::span<const std::byte> rest =
        std::span<const std::byte>(all).subspan(shards[rank].begin, shards[rank].size());
    take(rest, std::span(&told.reports[rank], 1));
    for (const std::size_t leaf : leaves[rank]) take(rest, std::span(&leaf_losses[leaf], 1));
    std::vector<float> chunks(2 * num_owned_chunks(rank));
    take(rest, std::span(chunks));
    place_chunks(told, rank, chunks);
  }
  for (const float loss : leaf_losses) told.loss += loss;
  return told;
}

/// Puts the sums of the chunks that a rank owns where they stand among all.
void TrainStep::place_chunks(Told& told, std::size_t rank, std::span<const float> sums) const {
  const std::size_t half = sums.size() / 2;
  std::size_t at = 0;
  for (std::size_t i = 0; i < reducer_.num_buckets(); ++i) {
    const Range& shard = reducer_.shards(i)[rank];
    const std::size_t first = shard.begin / op::squares_chunk;
    for (std::size_t chunk = 0; chunk < num_chunks_of(shard); ++chunk, ++at) {
      told.sums[first + chunk] = sums[at];
      told.sums[num_chunks_ + first + chunk] = sums[half + at];
    }
  }
}

/// What ranks tell each other, of one that has nobody to tell. `outcome` is what outcome_ had. The
/// sums are fetched only when there is something to be found in them.
void TrainStep::finish_alone(Told& told, std::span<const float> outcome) {
  Report& report = told.reports[0];
  report.times.compute = seconds_since(began_) - report.times.io;
  for (const float loss : outcome.subspan(op::control_size)) told.loss += loss;
  if (outcome[2] == 0) return;
  told.sums.resize(all_sums_.size());
  device_.stream().read<float>(told.sums, all_sums_);
}

StepResult TrainStep::combine(const LeafDeal& deal, const Told& told) const {
  StepResult result;
  double slowest = 0;
  for (const Report& report : told.reports) slowest = std::max(slowest, report.times.compute);
  for (std::size_t rank = 0; rank < told.reports.size(); ++rank) {
    const Report& report = told.reports[rank];
    result.tokens += report.tokens;
    result.signal = std::max(result.signal, report.word.signal);
    if (report.non_finite > 0 && result.first_bad_rank < 0) {
      result.first_bad_rank = static_cast<int>(rank);
      result.first_bad_bucket = static_cast<int>(report.first_bad_bucket);
    }
    RankStep step{.leaves = deal.leaves(static_cast<int>(rank)).size(), .times = report.times};
    step.times.wait = std::min(report.times.exposed, slowest - report.times.compute);
    step.times.exposed -= step.times.wait;
    result.ranks.push_back(step);
  }
  result.seconds = told.reports[0].word.seconds;
  result.loss = told.loss / static_cast<double>(std::max<std::uint64_t>(result.tokens, 1));
  if (!told.sums.empty()) find_non_finite(result, told.sums);
  return result;
}

/// Counts what is not finite, by all chunks' sums, and names where it begins.
void TrainStep::find_non_finite(StepResult& result, std::span<const float> sums) const {
  for (std::size_t i = 0; i < reducer_.num_buckets(); ++i) {
    const ParamLayout::Bucket& bucket = params_.layout().buckets[i];
    for (std::size_t chunk = bucket.begin / op::squares_chunk;
         chunk < bucket.end / op::squares_chunk; ++chunk) {
      const float count = sums[num_chunks_ + chunk];
      if (count > 0 && result.first_bad_bucket < 0) {
        result.first_bad_bucket = static_cast<int>(i);
        result.first_bad_rank = std::max(result.first_bad_rank, 0);
      }
      result.non_finite += static_cast<std::uint64_t>(count);
    }
  }
}

}  // namespace motley
