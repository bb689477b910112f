#include "train/byte_alphabet.h"

#include <gtest/gtest.h>

#include <set>

namespace motley {
namespace {

TEST(ByteAlphabet, MapsEveryByteToItsOwnCharacter) {
  std::set<std::string> seen;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string bytes(1, static_cast<char>(byte));
    const std::string text = to_alphabet(bytes);
    EXPECT_TRUE(seen.insert(text).second) << byte;
    EXPECT_EQ(from_alphabet(text), bytes) << byte;
  }
}

TEST(ByteAlphabet, IsTheOneOfGpt2) {
  EXPECT_EQ(to_alphabet(" Hello\n"), "ĠHelloĊ");
  EXPECT_EQ(to_alphabet("é"), "Ã©");
  EXPECT_EQ(to_alphabet(std::string("\x00\x7f\xa0\xad\xff", 5)), "ĀġłŃÿ");
  EXPECT_EQ(alphabet_order()[0], '!');
  EXPECT_EQ(alphabet_order()[220], ' ');
  EXPECT_EQ(alphabet_order()[198], '\n');
  EXPECT_EQ(alphabet_order()[255], 0xAD);
}

TEST(ByteAlphabet, RefusesOtherCharacters) {
  for (const char* text : {" ", "a b", "\n", "\x7f", "語", "ń!ń\xc5", "\xc4", "\xff", "Ņ",
                           "\xc2\xa0", "\xf0\x9f\x98\x80"}) {
    EXPECT_FALSE(from_alphabet(text).has_value()) << text;
  }
  EXPECT_EQ(from_alphabet(""), "");
}

}  // namespace
}  // namespace motley
