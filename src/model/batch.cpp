#include "model/batch.h"

#include <algorithm>

#include "tensor/error.h"
#include "tensor/log.h"

namespace motley {
namespace {

// A row of no table: op::embedding_backward skips it.
constexpr std::int32_t no_token = -1;

std::size_t packed_size(std::size_t N) {
  return 5 * N + 1;
}

DeviceBatch batch_in(const Tensor& packed, std::size_t B, std::size_t T) {
  const std::size_t N = B * T;
  return {.B = B,
          .T = T,
          .tokens = packed.slice(0, N),
          .targets = packed.slice(N, 2 * N),
          .index = {.rows = packed.slice(2 * N, 3 * N),
                    .starts = packed.slice(3 * N, 4 * N + 1),
                    .positions = packed.slice(4 * N + 1, 5 * N + 1)}};
}

/// In the order of batch_in.
void pack(std::span<std::int32_t> packed, const HostBatch& batch, const DeviceBatch& place) {
  const std::size_t N = place.B * place.T;
  require<ShapeError>(batch.tokens.size() == N && batch.targets.size() == N, "batch.size",
                      "a batch of {} x {} was given {} tokens and {} targets", place.B, place.T,
                      batch.tokens.size(), batch.targets.size());
  require<ShapeError>(batch.index.positions.size() == N, "batch.size",
                      "a batch of {} x {} was given an index of {} positions", place.B, place.T,
                      batch.index.positions.size());
  auto at = packed.begin();
  const auto append = [&](std::span<const std::int32_t> values, std::size_t size,
                          std::int32_t rest) {
    at = std::copy(values.begin(), values.end(), at);
    at = std::fill_n(at, size - values.size(), rest);
  };
  append(batch.tokens, N, 0);
  append(batch.targets, N, 0);
  append(batch.index.rows, N, no_token);
  append(batch.index.starts, N + 1, static_cast<std::int32_t>(N));
  append(batch.index.positions, N, 0);
}

}  // namespace

BatchSlot::BatchSlot(Device& device, std::size_t B, std::size_t T)
    : packed_(device.tensor({packed_size(B * T)}, Dtype::i32)), batch_(batch_in(packed_, B, T)) {
  for (Source& source : sources_) source.values.resize(packed_.size());
}

BatchSlot::~BatchSlot() {
  try {
    for (const Source& source : sources_) {
      if (source.is_read) source.is_read->wait();
    }
  } catch (const DeviceError& e) {
    log::error("a micro-batch did not reach the device: {}", e.what());
  }
}

void BatchSlot::start_upload(Stream& s, const HostBatch& batch) {
  Source& source = sources_[next_];
  next_ = (next_ + 1) % sources_.size();
  if (source.is_read) source.is_read->wait();
  pack(source.values, batch, batch_);
  source.is_read = s.start_write(packed_, 0, std::as_bytes(std::span(source.values)));
}

DeviceBatch upload_batch(Device& device, std::size_t B, std::size_t T, const HostBatch& batch) {
  Tensor packed = device.tensor({packed_size(B * T)}, Dtype::i32);
  DeviceBatch place = batch_in(packed, B, T);
  std::vector<std::int32_t> values(packed.size());
  pack(values, batch, place);
  device.stream().write<std::int32_t>(packed, values);
  return place;
}

}  // namespace motley
