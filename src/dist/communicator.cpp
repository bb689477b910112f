#include "dist/communicator.h"

#include <algorithm>
#include <thread>

#include "tensor/checked.h"

namespace motley {

void Backoff::pause() {
  using std::chrono::microseconds;
  const auto waited =
      std::chrono::duration_cast<microseconds>(std::chrono::steady_clock::now() - start_);
  if (waited < microseconds(20)) return;
  if (waited < microseconds(200)) return std::this_thread::yield();
  constexpr microseconds shortest(50);
  const bool is_device = what_ == For::device;
  const microseconds longest(is_device ? 2000 : 200);
  std::this_thread::sleep_for(std::clamp(waited / (is_device ? 8 : 100), shortest, longest));
}

std::string Communicator::name() const {
  return fmt::format("rank {} on {}", rank(), host());
}

std::future<void> Communicator::post(std::function<void()> work) {
  if (thread_ != nullptr) return thread_->post(std::move(work));
  std::packaged_task<void()> task(std::move(work));
  task();
  return task.get_future();
}

void Communicator::run(const std::function<void()>& work) {
  if (thread_ == nullptr || thread_->is_current()) return work();
  thread_->post(work).get();
}

void Communicator::set_pump(std::function<void()> hook) {
  if (thread_ != nullptr) thread_->set_pump(std::move(hook));
}

void Communicator::pause(Backoff& backoff) {
  check_peers();
  require<CommError>(!has_given_up_.load(), "comm.given-up",
                     "{} has stopped waiting for other ranks after an error of its own", name());
  if (thread_ != nullptr) thread_->pump_if_due();
  backoff.pause();
}

void Communicator::barrier() {
  run([&] { do_barrier(); });
}

/// Dissemination (Hensgen et al. 1988): after round k everybody has heard of 2^k ranks.
void Communicator::do_barrier() {
  const std::unique_ptr<Transfers> messages = transfers();
  const std::byte token{1};
  std::byte heard{0};
  for (std::size_t distance = 1; distance < count(); distance *= 2) {
    messages->receive(std::span(&heard, 1),
                      static_cast<int>((index() + count() - distance) % count()));
    messages->send(std::span(&token, 1), static_cast<int>((index() + distance) % count()));
    wait_until([&] { return messages->test(); });
  }
}

void Communicator::broadcast(std::span<std::byte> bytes, int root) {
  require<ShapeError>(root >= 0 && root < size(), "comm.root",
                      "{}: broadcast from rank {} of {} ranks", name(), root, size());
  run([&] { do_broadcast(bytes, root); });
}

/// A binomial tree: the rank at distance d from the root hears from d without its lowest bit.
void Communicator::do_broadcast(std::span<std::byte> bytes, int root) {
  const std::unique_ptr<Transfers> messages = transfers();
  const auto rank_at = [&](std::size_t distance) {
    return static_cast<int>((distance + static_cast<std::size_t>(root)) % count());
  };
  const std::size_t mine = (index() + count() - static_cast<std::size_t>(root)) % count();
  std::size_t bit = 1;
  while (bit < count() && (mine & bit) == 0) bit *= 2;
  if (mine != 0) {
    messages->receive(bytes, rank_at(mine - bit));
    wait_until([&] { return messages->test(); });
  }
  for (bit /= 2; bit > 0; bit /= 2) {
    if (mine + bit < count()) messages->send(bytes, rank_at(mine + bit));
  }
  wait_until([&] { return messages->test(); });
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
  run([&] { do_all_gather_shards(all, shards); });
}

/// Direct exchange: every rank sends its shard to every other.
void Communicator::do_all_gather_shards(std::span<std::byte> values,
                                        std::span<const Range> shards) {
  const std::unique_ptr<Transfers> messages = transfers();
  const auto part = [&](std::size_t r) {
    return values.subspan(shards[r].begin, shards[r].size());
  };
  for (std::size_t r = 0; r < count(); ++r) {
    if (r != index()) messages->receive(part(r), static_cast<int>(r));
  }
  // Each rank starts with its right-hand neighbour, so that no rank is everybody's first target.
  for (std::size_t step = 1; step < count(); ++step)
    messages->send(part(index()), static_cast<int>((index() + step) % count()));
  wait_until([&] { return messages->test(); });
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
  all_gather_shards(std::as_writable_bytes(std::span(joined)), shards);
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

void Communicator::all_gather_shards(std::span<float> values, std::span<const Range> shards) {
  check_shards(values.size(), shards);
  std::vector<Range> bytes(shards.begin(), shards.end());
  for (Range& range : bytes) range = {range.begin * sizeof(float), range.end * sizeof(float)};
  run([&] { do_all_gather_shards(std::as_writable_bytes(values), bytes); });
}

void Communicator::all_gather_shards(std::span<std::byte> values, std::span<const Range> shards) {
  check_shards(values.size(), shards);
  run([&] { do_all_gather_shards(values, shards); });
}

}  // namespace motley
