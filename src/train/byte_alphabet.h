// GPT-2's way to write any bytes as printable text (openai/gpt-2, src/encoder.py,
// bytes_to_unicode): visible Latin-1 characters stand for themselves, the other 68 bytes for U+0100
// and up in byte order.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace motley {

/// The bytes in the order of their characters. GPT-2 gives them the tokens 0 to 255 in this order.
const std::array<std::uint8_t, 256>& alphabet_order();

/// Any bytes as UTF-8 text of the alphabet: " a" becomes "Ġa".
std::string to_alphabet(std::string_view bytes);

/// The bytes that a text of the alphabet stands for; none when it holds any other character.
std::optional<std::string> from_alphabet(std::string_view text);

}  // namespace motley
