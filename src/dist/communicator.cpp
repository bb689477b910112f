#include "dist/communicator.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "dist/shard_plan.h"
#include "tensor/checked.h"

namespace motley {

std::string Communicator::name() const {
  return fmt::format("rank {} on {}", rank(), host());
}

void Communicator::barrier() {
  do_barrier();
}

void Communicator::broadcast(std::span<std::byte> bytes, int root) {
  require<ShapeError>(root >= 0 && root < size(), "comm.root",
                      "{}: broadcast from rank {} of {} ranks", name(), root, size());
  do_broadcast(bytes, root);
}

std::string Communicator::broadcast_text(std::string_view text, int root) {
  std::uint64_t length = text.size();
  broadcast(std::as_writable_bytes(std::span(&length, 1)), root);
  std::string result(rank() == root ? text : std::string_view());
  result.resize(length);
  broadcast(std::as_writable_bytes(std::span(result)), root);
  return result;
}

void Communicator::all_gather(std::span<std::byte> all, std::span<const std::byte> mine) {
  require<ShapeError>(all.size() == checked_mul(mine.size(), count()), "comm.all-gather",
                      "{}: {} bytes from each of {} ranks do not fit a buffer of {}", name(),
                      mine.size(), size(), all.size());
  std::vector<Range> shards;
  for (std::size_t r = 0; r < count(); ++r)
    shards.push_back({r * mine.size(), (r + 1) * mine.size()});
  std::copy(mine.begin(), mine.end(), all.subspan(shards[index()].begin).begin());
  do_all_gather_shards(all, shards);
}

std::vector<std::int64_t> Communicator::all_gather_int(std::int64_t value) {
  std::vector<std::int64_t> all(count());
  all_gather(std::as_writable_bytes(std::span(all)), std::as_bytes(std::span(&value, 1)));
  return all;
}

std::vector<std::string> Communicator::all_gather_text(std::string_view mine) {
  std::vector<Range> shards;
  std::size_t end = 0;
  for (const std::int64_t length : all_gather_int(narrow<std::int64_t>(mine.size()))) {
    const std::size_t begin = end;
    end = checked_add(begin, static_cast<std::size_t>(length));
    shards.push_back({begin, end});
  }
  std::string joined(end, '\0');
  std::copy(mine.begin(), mine.end(), joined.data() + shards[index()].begin);
  do_all_gather_shards(std::as_writable_bytes(std::span(joined)), shards);
  std::vector<std::string> texts;
  texts.reserve(shards.size());
  for (const Range& shard : shards) texts.push_back(joined.substr(shard.begin, shard.size()));
  return texts;
}

std::int64_t Communicator::all_reduce_min(std::int64_t value) {
  const std::vector<std::int64_t> all = all_gather_int(value);
  return *std::min_element(all.begin(), all.end());
}

std::int64_t Communicator::all_reduce_max(std::int64_t value) {
  const std::vector<std::int64_t> all = all_gather_int(value);
  return *std::max_element(all.begin(), all.end());
}

std::int64_t Communicator::all_reduce_sum(std::int64_t value) {
  std::int64_t sum = 0;
  for (const std::int64_t other : all_gather_int(value)) {
    require<ShapeError>(!__builtin_add_overflow(sum, other, &sum), "size.overflow",
                        "the sum of {} ranks' counts does not fit 64 bits; the counts are wrong",
                        size());
  }
  return sum;
}

void Communicator::all_reduce_sum(std::span<double> values) {
  std::vector<double> all(checked_mul(values.size(), count()));
  all_gather(std::as_writable_bytes(std::span(all)),
             std::as_bytes(std::span<const double>(values)));
  std::copy_n(all.begin(), values.size(), values.begin());
  for (std::size_t r = 1; r < count(); ++r) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += all[r * values.size() + i];
  }
}

void Communicator::check_shards(std::size_t num_values, std::span<const Range> shards) const {
  require<ShapeError>(shards.size() == count(), "comm.shards",
                      "{}: {} shards were given for {} ranks", name(), shards.size(), size());
  std::size_t end = 0;
  for (const Range& shard : shards) {
    require<ShapeError>(end <= shard.begin && shard.begin <= shard.end && shard.end <= num_values,
                        "comm.shards", "{}: shard [{}, {}) must start at {} or later and end by {}",
                        name(), shard.begin, shard.end, end, num_values);
    end = shard.end;
  }
}

void Communicator::reduce_scatter(std::span<float> values, std::span<const Range> shards) {
  check_shards(values.size(), shards);
  do_reduce_scatter(values, shards);
}

void Communicator::all_gather_shards(std::span<float> values, std::span<const Range> shards) {
  check_shards(values.size(), shards);
  std::vector<Range> bytes(shards.begin(), shards.end());
  for (Range& range : bytes) range = {range.begin * sizeof(float), range.end * sizeof(float)};
  do_all_gather_shards(std::as_writable_bytes(values), bytes);
}

void Communicator::all_gather_shards(std::span<std::byte> values, std::span<const Range> shards) {
  check_shards(values.size(), shards);
  do_all_gather_shards(values, shards);
}

void add_in_order(std::span<float> out, std::span<const float* const> sources) {
  std::array<float, 1024>
      sums{};  // a block stays in the nearest cache while all sources pass over it
  for (std::size_t begin = 0; begin < out.size(); begin += sums.size()) {
    const std::size_t num = std::min(sums.size(), out.size() - begin);
    std::copy_n(sources[0] + begin, num, sums.begin());
    for (const float* source : sources.subspan(1)) {
      for (std::size_t i = 0; i < num; ++i) sums[i] += source[begin + i];
    }
    std::copy_n(sums.begin(), num, out.begin() + static_cast<std::ptrdiff_t>(begin));
  }
}

}  // namespace motley
