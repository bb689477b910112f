#include "tensor/staging.h"

#include <algorithm>

#include "tensor/checked.h"

namespace motley {
namespace {

// Copies that share a block begin at multiples of a cache line.
constexpr std::size_t alignment = 64;

}  // namespace

Staging::Staging(Stream& stream, const Ring& ring) : stream_(stream), ring_(ring) {
  require<ShapeError>(
      ring.block_bytes > 0 && ring.block_bytes % alignment == 0 && ring.num_blocks > 0,
      "staging.ring", "a ring of {} blocks of {} bytes; give blocks of a multiple of {}",
      ring.num_blocks, ring.block_bytes, alignment);
}

void Staging::check_host(const Tensor& tensor, Dtype dtype, std::size_t size) {
  // 16-bit reals travel as integers.
  const bool same_type = size_of(tensor.dtype()) == size_of(dtype);
  require<ShapeError>(same_type && tensor.size() == size, "tensor.host-copy",
                      "a {} tensor {} does not fit {} host values of type {}",
                      name_of(tensor.dtype()), to_string(tensor.shape()), size, name_of(dtype));
}

void Staging::check_bytes(const Tensor& tensor, std::size_t bytes) {
  require<ShapeError>(checked_mul(tensor.size(), size_of(tensor.dtype())) == bytes,
                      "tensor.host-copy", "a {} tensor {} does not fit {} bytes",
                      name_of(tensor.dtype()), to_string(tensor.shape()), bytes);
}

bool Staging::advance() {
  if (is_idle()) return false;
  if (!memory_) {
    memory_.emplace(stream_, checked_mul(ring_.block_bytes, ring_.num_blocks));
    for (std::size_t i = 0; i < ring_.num_blocks; ++i)
      blocks_.push_back({memory_->bytes().subspan(i * ring_.block_bytes, ring_.block_bytes)});
  }
  // The device first: it works on while the processor copies.
  return fill_newest() || empty_oldest();
}

/// Hands the device as many copies as fit a block. Says whether there were any.
bool Staging::fill_newest() {
  if (waiting_.empty()) return false;
  const auto newest = [&]() -> Block& {
    return blocks_[(oldest_ + num_busy_ - 1) % blocks_.size()];
  };
  if (num_busy_ == 0 || newest().used == ring_.block_bytes) {
    if (num_busy_ == blocks_.size()) return false;
    ++num_busy_;
  }
  Block& block = newest();
  while (!waiting_.empty() && block.used < ring_.block_bytes) {
    start(block, waiting_.front());
    if (waiting_.front().begun == waiting_.front().size()) waiting_.pop_front();
  }
  stream_.flush();
  return true;
}

/// As much of a copy as the block has room for.
void Staging::start(Block& block, Copy& copy) {
  const std::size_t bytes = std::min(copy.size() - copy.begun, ring_.block_bytes - block.used);
  const std::span<std::byte> memory = block.memory.subspan(block.used, bytes);
  if (copy.from.empty()) {
    const Event* after = copy.after ? &*copy.after : nullptr;
    block.last = stream_.start_read(memory, copy.tensor, copy.begun, after);
    block.arrivals.push_back({copy.to.subspan(copy.begun, bytes), block.used});
  } else {
    const std::span<const std::byte> from = copy.from.subspan(copy.begun, bytes);
    std::copy(from.begin(), from.end(), memory.begin());
    block.last = stream_.start_write(copy.tensor, copy.begun, memory);
  }
  block.tensors.push_back(copy.tensor);
  copy.begun += bytes;
  block.used = std::min(round_up(block.used + bytes, alignment), ring_.block_bytes);
}

/// Frees the block that the device had first, if the device has done with it. Says whether.
bool Staging::empty_oldest() {
  if (num_busy_ == 0) return false;
  Block& block = blocks_[oldest_];
  if (!block.last->is_done()) return false;
  for (const Arrival& arrival : block.arrivals) {
    const std::span<std::byte> from = block.memory.subspan(arrival.at, arrival.to.size());
    std::copy(from.begin(), from.end(), arrival.to.begin());
  }
  block.used = 0;
  block.arrivals.clear();
  block.tensors.clear();
  block.last.reset();
  oldest_ = (oldest_ + 1) % blocks_.size();
  --num_busy_;
  return true;
}

}  // namespace motley
