#include "tensor/hash.h"

#include <gtest/gtest.h>

#include "tensor/error.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

TEST(Hash, IsXxh3) {
  // The values that xxhsum -H2 prints for no bytes and for "a".
  EXPECT_EQ(hash_of(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_of("a"), "a96faf705af16834e6c632b61e964e1f");
}

TEST(Hash, OfMemoryIsXxh3With64Bits) {
  // What xxhsum -H3 prints for no bytes and for "a".
  EXPECT_EQ(hash64_of({}), 0x2d06800538d394c2u);
  EXPECT_EQ(hash64_of(std::as_bytes(std::span("a", 1))), 0xe6c632b61e964e1fu);
}

TEST(Hash, DoesNotDependOnThePieces) {
  const std::string text(3000, 'x');
  Hasher hasher;
  for (std::size_t i = 0; i < text.size(); i += 7)
    hasher.update(std::string_view(text).substr(i, 7));
  EXPECT_EQ(hasher.hex(), hash_of(text));
}

TEST(Hash, OfAFileIsThatOfItsContents) {
  const ScratchDirectory scratch;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, (std::size_t{1} << 20) + 1}) {
    const std::string text(size, 'y');
    EXPECT_EQ(hash_of_file(scratch.write("file", text)), hash_of(text));
  }
  EXPECT_THROW(hash_of_file(scratch / "none"), IoError);
}

}  // namespace
}  // namespace motley
