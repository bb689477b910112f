#include "train/byte_alphabet.h"

namespace motley {
namespace {

constexpr std::uint16_t first_substitute = 0x100;
constexpr std::uint16_t num_characters = first_substitute + 68;

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<std::uint16_t, 256> character_of{};
  std::array<std::int16_t, num_characters> byte_of{};  // -1: not in the alphabet
  std::array<std::uint8_t, 256> order{};
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  for (std::int16_t& byte : alphabet.byte_of) byte = -1;
  std::uint16_t next = first_substitute;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto character = stands_for_itself(byte) ? static_cast<std::uint16_t>(byte) : next++;
    alphabet.character_of[byte] = character;
    alphabet.byte_of[character] = static_cast<std::int16_t>(byte);
  }
  std::size_t count = 0;
  for (const std::int16_t byte : alphabet.byte_of) {
    if (byte >= 0) alphabet.order[count++] = static_cast<std::uint8_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet alphabet = make_alphabet();

}  // namespace

const std::array<std::uint8_t, 256>& alphabet_order() {
  return alphabet.order;
}

std::string to_alphabet(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() + bytes.size() / 4);
  for (const char byte : bytes) {
    const unsigned character = alphabet.character_of[static_cast<std::uint8_t>(byte)];
    if (character >= 0x80) text += static_cast<char>(0xC0u | (character >> 6));
    text += static_cast<char>(character < 0x80 ? character : 0x80u | (character & 0x3Fu));
  }
  return text;
}

std::optional<std::string> from_alphabet(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned character = static_cast<std::uint8_t>(text[i]);
    if (character >= 0x80) {  // all of the alphabet has one or two bytes
      const bool is_pair = (character & 0xE0u) == 0xC0u && i + 1 < text.size() &&
                           (static_cast<std::uint8_t>(text[i + 1]) & 0xC0u) == 0x80u;
      if (!is_pair) return std::nullopt;
      character = ((character & 0x1Fu) << 6) | (static_cast<std::uint8_t>(text[++i]) & 0x3Fu);
    }
    if (character >= num_characters || alphabet.byte_of[character] < 0) return std::nullopt;
    bytes += static_cast<char>(alphabet.byte_of[character]);
  }
  return bytes;
}

}  // namespace motley
