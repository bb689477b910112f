// Content hashes of files and buffers: XXH3-128, which finds accidents (flipped bits, cut files),
// not forgeries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "tensor/io.h"

namespace motley {

/// A hash over bytes that arrive in pieces; how they are cut does not matter.
class Hasher {
 public:
  Hasher();
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  /// The hash of all bytes so far: 32 lower-case hexadecimal digits, most significant first.
  std::string hex() const;

 private:
  struct Free {
    void operator()(void* state) const;
  };
  std::unique_ptr<void, Free> state_;
};

/// The hash of a text.
std::string hash_of(std::string_view text);
/// XXH3-64 of bytes in memory, for comparisons within one job.
std::uint64_t hash64_of(std::span<const std::byte> bytes);
/// The hash of a file's contents. Throws IoError.
std::string hash_of_file(const io::Path& path);

}  // namespace motley
