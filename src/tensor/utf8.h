// Telling valid UTF-8 (RFC 3629) from other bytes, one character at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace motley {

enum class Utf8State { valid, invalid, incomplete };

/// What stands at a place of a text. A valid character has `length` bytes. Of anything else,
/// `length` bytes are to be taken as one unit: the longest start of a character (Unicode 15, 3.9,
/// "maximal subpart"). It is incomplete when the text ends before it went wrong.
struct Utf8Character {
  std::size_t length = 0;
  Utf8State state = Utf8State::invalid;
};

/// The character at text[at]; `at` must be less than text.size().
inline Utf8Character utf8_character(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(at);
  if (lead < 0x80) return {1, Utf8State::valid};
  if (lead < 0xC2 || lead > 0xF4) return {1, Utf8State::invalid};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and everything above U+10FFFF.
  std::uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  std::uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t i = 1; i < length; ++i) {
    if (at + i == text.size()) return {i, Utf8State::incomplete};
    if (byte(at + i) < low || byte(at + i) > high) return {i, Utf8State::invalid};
    low = 0x80;
    high = 0xBF;
  }
  return {length, Utf8State::valid};
}

}  // namespace motley
