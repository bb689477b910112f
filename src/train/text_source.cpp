#include "train/text_source.h"

#include <algorithm>
#include <span>
#include <string>

#include "tensor/error.h"

namespace motley {
namespace {

constexpr std::size_t read_bytes = std::size_t{1} << 20;

// Appends the next bytes of [offset, end) to `buffer`; returns how many.
std::size_t append_from(const io::File& file, std::uint64_t offset, std::uint64_t end,
                        std::size_t most, std::string& buffer) {
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(most, end - offset));
  const std::size_t before = buffer.size();
  buffer.resize(before + count);
  file.read_at(offset, std::as_writable_bytes(std::span(buffer).subspan(before)));
  return count;
}

bool is_visible(char c) {
  return c > ' ' && c < '\x7f';
}

}  // namespace

void for_each_line(const io::Path& path,
                   const std::function<void(std::uint64_t number, std::string_view line)>& use,
                   std::size_t max_bytes) {
  const io::File file = io::File::open(path);
  const std::uint64_t size = file.size();
  std::string buffer;
  std::uint64_t number = 0;
  const auto use_line = [&](std::string_view line) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    require<DataError>(
        line.size() <= max_bytes, "data.line-too-long",
        "{}:{}: a line of {} bytes or more; at most {} are accepted: split the document, or "
        "give the file as plain text",
        path.string(), number + 1, line.size(), max_bytes);
    use(++number, line);
  };
  for (std::uint64_t offset = 0; offset < size;) {
    std::size_t searched = buffer.size();  // what is left of the last block has no end of line
    offset += append_from(file, offset, size, read_bytes, buffer);
    std::size_t begin = 0;
    for (std::size_t end = buffer.find('\n', searched); end != std::string::npos;
         end = buffer.find('\n', begin)) {
      use_line(std::string_view(buffer).substr(begin, end - begin));
      begin = end + 1;
    }
    buffer.erase(0, begin);
    if (buffer.size() > max_bytes + 1) use_line(buffer);  // refuses it before all of it is read
  }
  if (!buffer.empty()) use_line(buffer);
}

std::size_t last_cut(std::string_view text) {
  for (std::size_t i = text.size() < 2 ? 0 : text.size() - 2; i > 0; --i) {
    if (text[i] == ' ' && is_visible(text[i - 1]) && is_visible(text[i + 1])) return i;
  }
  return 0;
}

void for_each_piece(const io::Path& path, const ByteRange& range, std::size_t piece_bytes,
                    const std::function<void(std::string_view piece)>& use) {
  const io::File file = io::File::open(path);
  std::string buffer;
  std::size_t wanted = piece_bytes;
  for (std::uint64_t offset = range.first; offset < range.last;) {
    offset +=
        append_from(file, offset, range.last, wanted - std::min(wanted, buffer.size()) + 1, buffer);
    if (offset == range.last) break;
    std::size_t cut = last_cut(buffer);
    if (cut == 0 && buffer.size() >= max_line_bytes) cut = buffer.size();
    // Without a place to cut, the piece grows by half: each byte is then searched a few times at
    // most.
    wanted = cut == 0 ? buffer.size() + buffer.size() / 2 : piece_bytes;
    if (cut == 0) continue;
    use(std::string_view(buffer).substr(0, cut));
    buffer.erase(0, cut);
  }
  if (!buffer.empty()) use(buffer);
}

std::uint64_t cut_before(const io::Path& path, std::uint64_t wanted) {
  const io::File file = io::File::open(path);
  // One byte more than the place itself, as a cut is judged by the character after the space.
  const std::uint64_t end = std::min(file.size(), wanted + 2);
  for (std::size_t window = 4096; window <= max_line_bytes; window *= 8) {
    const std::uint64_t begin = end - std::min<std::uint64_t>(end, window);
    std::string text;
    append_from(file, begin, end, window, text);
    const std::size_t cut = last_cut(text);
    if (cut != 0) return begin + cut;
    if (begin == 0) break;
  }
  return wanted;
}

}  // namespace motley
