// Source texts, read in bounded memory: the lines of a JSONL file, and the pieces of a plain text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "tensor/io.h"

namespace motley {

/// The longest line of a JSONL file, and the longest piece of a text that has no place to cut it.
inline constexpr std::size_t max_line_bytes = std::size_t{64} << 20;
/// How much of a plain text is tokenized at a time.
inline constexpr std::size_t default_piece_bytes = std::size_t{1} << 20;

/// Calls `use` with each line (numbered from 1, without "\n" or "\r\n") and its place. Empty lines
/// too. Throws DataError naming the line when one is longer than max_bytes.
void for_each_line(const io::Path& path,
                   const std::function<void(std::uint64_t number, std::string_view line)>& use,
                   std::size_t max_bytes = max_line_bytes);

/// A place at or after byte 1 where `text` can be cut so that the tokens of the two parts are the
/// tokens of the whole, the last such place, or 0 where there is none: before a lone space between
/// visible ASCII characters, as a space can only start a word of the pre-split, never end one.
std::size_t last_cut(std::string_view text);

/// A part of a file in bytes: [first, last).
struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

/// Calls `use` with consecutive pieces of a part of a plain text, each about piece_bytes long and
/// cut where last_cut allows; a part of more than max_line_bytes without such a place is cut
/// anywhere.
void for_each_piece(const io::Path& path, const ByteRange& range, std::size_t piece_bytes,
                    const std::function<void(std::string_view piece)>& use);

/// The last place at or before `wanted` where a plain text can be cut (see last_cut), looking back
/// at most max_line_bytes; `wanted` itself when there is none.
std::uint64_t cut_before(const io::Path& path, std::uint64_t wanted);

}  // namespace motley
