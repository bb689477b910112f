#include "tensor/printable.h"

#include <fmt/format.h>

#include <iterator>

#include "tensor/utf8.h"

namespace motley {
namespace {

constexpr std::string_view indent = "  ";

bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character == "\n" || character == "\t") return false;
  if (character.size() == 1) return first < 0x20 || first == 0x7f;
  // C1 is U+0080 to U+009F, in UTF-8 C2 80 to C2 9F.
  return first == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character found = utf8_character(text, at);
    const std::string_view bytes = text.substr(at, found.length);
    at += found.length;
    if (found.state == Utf8State::valid && !is_control(bytes)) {
      out += bytes;
      continue;
    }
    // Of a C1 character the second byte is its code.
    const bool is_valid = found.state == Utf8State::valid;
    for (const char c : is_valid ? bytes.substr(bytes.size() - 1) : bytes) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string printable_message(std::string_view text) {
  const std::string lines = printable(text);
  std::string out;
  out.reserve(lines.size());
  for (std::size_t begin = 0; begin < lines.size();) {
    const std::size_t newline = lines.find('\n', begin);
    const std::size_t end = newline == std::string::npos ? lines.size() : newline + 1;
    const std::string_view line = std::string_view(lines).substr(begin, end - begin);
    const bool may_pass_for_a_first = begin > 0 && line != "\n" && !line.starts_with(indent);
    if (may_pass_for_a_first) out += indent;
    out += line;
    begin = end;
  }
  return out;
}

}  // namespace motley
