#include "train/text_source.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tensor/error.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

std::vector<std::string> lines_of(const io::Path& path, std::size_t max_bytes = max_line_bytes) {
  std::vector<std::string> lines;
  for_each_line(
      path,
      [&](std::uint64_t number, std::string_view line) {
        lines.emplace_back(line);
        EXPECT_EQ(number, lines.size());
      },
      max_bytes);
  return lines;
}

std::vector<std::string> pieces_of(const io::Path& path, const ByteRange& range,
                                   std::size_t piece_bytes) {
  std::vector<std::string> pieces;
  for_each_piece(path, range, piece_bytes,
                 [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += part;
  return text;
}

TEST(Lines, EndWithOrWithoutALineEnd) {
  const ScratchDirectory scratch;
  const std::vector<std::string> expected = {"a", "", "b\rc", "d"};
  EXPECT_EQ(lines_of(scratch.write("f", "a\n\nb\rc\nd")), expected);
  EXPECT_EQ(lines_of(scratch.write("f", "a\r\n\r\nb\rc\r\nd\n")), expected);
  EXPECT_EQ(lines_of(scratch.write("f", "")), std::vector<std::string>{});
  EXPECT_EQ(lines_of(scratch.write("f", "\n")), std::vector<std::string>{""});
}

TEST(Lines, MayBeLongerThanABlock) {
  const ScratchDirectory scratch;
  const std::vector<std::string> expected = {"a", std::string(3'000'000, 'b'), "c"};
  EXPECT_EQ(lines_of(scratch.write("f", joined({"a\n", expected[1], "\nc\n"}))), expected);
}

TEST(Lines, HaveALimit) {
  const ScratchDirectory scratch;
  const std::string long_line(2'000'000, 'x');
  EXPECT_EQ(lines_of(scratch.write("f", "a\n" + long_line), long_line.size()).size(), 2u);
  const io::Path path = scratch.write("f", "a\n" + long_line + "y\nb\n");
  const std::string message = message_of<DataError>([&] { lines_of(path, long_line.size()); });
  expect_mentions(message, path.string() + ":2");
  // Without a line end as well.
  EXPECT_THROW(lines_of(scratch.write("f", long_line + "y"), long_line.size()), DataError);
}

TEST(Cut, IsBeforeALoneSpaceBetweenVisibleCharacters) {
  EXPECT_EQ(last_cut("one two three"), 7u);
  EXPECT_EQ(last_cut("one two "), 3u);
  EXPECT_EQ(last_cut("one  two"), 0u) << "a run of spaces is one word of the pre-split";
  EXPECT_EQ(last_cut("one\n two"), 0u);
  EXPECT_EQ(last_cut("one \ntwo"), 0u);
  EXPECT_EQ(last_cut("\xc2\xa0 two"), 0u) << "the bytes before may be a space of another kind";
  for (const char* const text : {"", " ", "a", " a", "a ", "ab"})
    EXPECT_EQ(last_cut(text), 0u) << text;
  EXPECT_EQ(last_cut("a b"), 1u);
}

TEST(Pieces, MakeTheWholeAndAreCutInGoodPlaces) {
  const ScratchDirectory scratch;
  std::string text;
  for (int i = 0; i < 300; ++i) text += "word" + std::to_string(i) + (i % 7 == 0 ? "\n\n" : " ");
  const io::Path path = scratch.write("f", text);
  for (const std::size_t piece_bytes : {1u, 2u, 10u, 100u, 100'000u}) {
    const std::vector<std::string> pieces = pieces_of(path, {0, text.size()}, piece_bytes);
    EXPECT_EQ(joined(pieces), text);
    EXPECT_EQ(pieces.size() == 1, piece_bytes > text.size());
    for (std::size_t i = 1; i < pieces.size(); ++i) EXPECT_EQ(pieces[i].front(), ' ');
  }
  EXPECT_EQ(joined(pieces_of(path, {10, 500}, 50)), text.substr(10, 490));
  EXPECT_TRUE(pieces_of(path, {10, 10}, 50).empty());
}

TEST(Pieces, KeepATextWithoutSpacesInOne) {
  const ScratchDirectory scratch;
  const std::string text(10'000, '\xe4');
  EXPECT_EQ(pieces_of(scratch.write("f", text), {0, text.size()}, 16),
            std::vector<std::string>{text});
}

TEST(CutBefore, FindsTheLastPlaceUpToTheOneWanted) {
  const ScratchDirectory scratch;
  const io::Path path = scratch.write("f", "one two three");
  EXPECT_EQ(cut_before(path, 13), 7u);
  EXPECT_EQ(cut_before(path, 7), 7u);
  EXPECT_EQ(cut_before(path, 6), 3u);
  EXPECT_EQ(cut_before(path, 2), 2u) << "no better place: the one wanted";
  EXPECT_EQ(cut_before(path, 0), 0u);
  const std::string far = "a b" + std::string(100'000, 'x');
  EXPECT_EQ(cut_before(scratch.write("f", far), 90'000), 1u);
}

}  // namespace
}  // namespace motley
