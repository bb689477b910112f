#include "tensor/printable.h"

#include <gtest/gtest.h>

namespace motley {
namespace {

using namespace std::string_literals;

TEST(Printable, LeavesTextAlone) {
  for (const std::string text : {"", "a\tb\nc\\x41", "gr\xc3\xbc\xc3\x9f", "\xc2\xa0\xe2\x82\xac",
                                 "\xf0\x9f\x98\x80", "\xef\xbf\xbd"}) {
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, ShowsControlCharacters) {
  EXPECT_EQ(printable("a\x1b[31mb\rc\x7f\0"s), "a\\x1b[31mb\\x0dc\\x7f\\x00");
  EXPECT_EQ(printable("\x1f\x20"), "\\x1f ");
}

TEST(Printable, ShowsTheControlCharactersBeyondAscii) {
  EXPECT_EQ(printable("a\xc2\x9b"
                      "31m\xc2\x80\xc2\x9f\xc2\xa0"),
            "a\\x9b31m\\x80\\x9f\xc2\xa0");
}

TEST(Printable, ShowsBytesThatAreNotUtf8) {
  EXPECT_EQ(printable("a\x9b"
                      "b\xc3"
                      "c\xe2\x82"),
            "a\\x9bb\\xc3c\\xe2\\x82");
}

TEST(PrintableMessage, NoLineAfterTheFirstBeginsAtTheMargin) {
  EXPECT_EQ(printable_message("one\ntwo\n three\n  four\n\n\x1b"),
            "one\n  two\n   three\n  four\n\n  \\x1b");
  EXPECT_EQ(printable_message("one\n"), "one\n");
  EXPECT_EQ(printable_message("\n"), "\n");
  EXPECT_EQ(printable_message(""), "");
}

}  // namespace
}  // namespace motley
