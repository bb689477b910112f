#include "train/pre_split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "tensor/error.h"
#include "tensor/utf8.h"

namespace motley {
namespace {

// The pattern of openai/gpt-2, src/encoder.py, with possessive repeats where nothing can be given
// back. White_Space stands for \s, which in PCRE2 also holds U+180E, unlike in the tokenizers of
// others.
constexpr std::string_view pattern =
    "'s|'t|'re|'ve|'m|'ll|'d"
    "| ?\\p{L}++| ?\\p{N}++| ?[^\\p{White_Space}\\p{L}\\p{N}]++"
    "|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}++";

pcre2_code* code_of(void* code) {
  return static_cast<pcre2_code*>(code);
}
pcre2_match_data* match_of(void* match) {
  return static_cast<pcre2_match_data*>(match);
}

/// How many bytes from the start of `text` are valid UTF-8.
std::size_t valid_prefix(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const Utf8Character character = utf8_character(text, at);
    if (character.state != Utf8State::valid) break;
    at += character.length;
  }
  return at;
}

}  // namespace

void PreSplit::Free::operator()(void* code) const {
  pcre2_code_free(code_of(code));
}
void Pieces::Free::operator()(void* match) const {
  pcre2_match_data_free(match_of(match));
}

PreSplit::PreSplit() {
  int error = 0;
  PCRE2_SIZE offset = 0;
  // Every character starts a piece, so that a match begins where the last one ended.
  code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                            PCRE2_UTF | PCRE2_ANCHORED, &error, &offset, nullptr));
  require<EnvironmentError>(
      code_ != nullptr, "env.pcre2",
      "the PCRE2 library does not take the pre-split's pattern (error {} at {}); "
      "install PCRE2 10.40 or later with Unicode",
      error, offset);
  // Without a just-in-time compiler (it is optional in PCRE2) matching is slower, not different.
  pcre2_jit_compile(code_of(code_.get()), PCRE2_JIT_COMPLETE);
}

const PreSplit& PreSplit::shared() {
  static const PreSplit split;
  return split;
}

Pieces::Pieces(std::string_view text, const PreSplit& split)
    : split_(split), rest_(text), valid_(valid_prefix(text)) {
  match_.reset(pcre2_match_data_create(1, nullptr));
  if (match_ == nullptr) throw std::bad_alloc();
}

std::string_view Pieces::take(std::size_t length) {
  const std::string_view piece = rest_.substr(0, length);
  rest_.remove_prefix(length);
  return piece;
}

std::size_t Pieces::invalid_run() const {
  std::size_t length = 0;
  while (length < rest_.size()) {
    const Utf8Character character = utf8_character(rest_, length);
    if (character.state == Utf8State::valid) break;
    length += character.length;
  }
  return length;
}

std::size_t Pieces::match() const {
  // The text was checked above; a second check at every match would make this quadratic.
  const int count =
      pcre2_match(code_of(split_.code_.get()), reinterpret_cast<PCRE2_SPTR>(rest_.data()), valid_,
                  0, PCRE2_NO_UTF_CHECK, match_of(match_.get()), nullptr);
  require<DataError>(count > 0, "data.pre-split",
                     "cutting a text of {} bytes into words failed (PCRE2 error {}); split it into "
                     "smaller texts",
                     valid_, count);
  return pcre2_get_ovector_pointer(match_of(match_.get()))[1];
}

std::string_view Pieces::next() {
  if (rest_.empty()) return {};
  if (valid_ == 0) {
    const std::string_view piece = take(invalid_run());
    valid_ = valid_prefix(rest_);
    return piece;
  }
  const std::size_t length = match();
  valid_ -= length;
  return take(length);
}

}  // namespace motley
