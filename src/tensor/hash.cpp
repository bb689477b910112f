#include "tensor/hash.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <new>
#include <vector>

namespace motley {
namespace {

constexpr std::size_t read_bytes = std::size_t{1} << 20;

XXH3_state_t* as_state(void* state) {
  return static_cast<XXH3_state_t*>(state);
}

}  // namespace

void Hasher::Free::operator()(void* state) const {
  XXH3_freeState(as_state(state));
}

Hasher::Hasher() : state_(XXH3_createState()) {
  if (state_ == nullptr) throw std::bad_alloc();
  XXH3_128bits_reset(as_state(state_.get()));
}

void Hasher::update(std::span<const std::byte> bytes) {
  XXH3_128bits_update(as_state(state_.get()), bytes.data(), bytes.size());
}

void Hasher::update(std::string_view text) {
  update(std::as_bytes(std::span(text.data(), text.size())));
}

std::string Hasher::hex() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(as_state(state_.get()));
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::string hash_of(std::string_view text) {
  Hasher hasher;
  hasher.update(text);
  return hasher.hex();
}

std::uint64_t hash64_of(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string hash_of_file(const io::Path& path) {
  const io::File file = io::File::open(path);
  const std::uint64_t size = file.size();
  std::vector<std::byte> block(static_cast<std::size_t>(std::min<std::uint64_t>(size, read_bytes)));
  Hasher hasher;
  for (std::uint64_t offset = 0; offset < size; offset += block.size()) {
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), size - offset));
    const std::span<std::byte> part(block.data(), count);
    file.read_at(offset, part);
    hasher.update(part);
  }
  return hasher.hex();
}

}  // namespace motley
