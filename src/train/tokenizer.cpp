#include "train/tokenizer.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

#include "tensor/error.h"
#include "tensor/hash.h"
#include "tensor/utf8.h"
#include "train/pre_split.h"
#include "train/text_source.h"

namespace motley {
namespace {

constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

/// Adds <|endoftext|> to a vocabulary that was learned and makes a tokenizer of it.
Tokenizer finish_training(const BpeTrainer& trainer, std::size_t vocab_size) {
  TokenizerContent content;
  content.vocabulary = trainer.train(vocab_size - 1);
  const auto end_of_text = static_cast<std::uint32_t>(content.vocabulary.tokens.size());
  content.vocabulary.tokens.emplace_back(end_of_text_name);
  content.specials = {end_of_text};
  return Tokenizer::parse(format_tokenizer_file(content), "the trained tokenizer");
}

void require_vocab_size(std::size_t vocab_size) {
  require<ConfigError>(
      vocab_size >= Tokenizer::min_vocab_size && vocab_size <= Tokenizer::max_vocab_size,
      "config.vocab", "a vocabulary of {} tokens was asked for; it must have {} to {}", vocab_size,
      Tokenizer::min_vocab_size, Tokenizer::max_vocab_size);
}

}  // namespace

struct Tokenizer::Parts {
  Parts(std::string file_text, const std::string& name)
      : text(std::move(file_text)),
        content(parse_tokenizer_file(text, name)),
        merges(content.vocabulary.merges),
        hash(hash_of(text)) {
    const std::vector<std::string>& tokens = content.vocabulary.tokens;
    std::vector<bool> is_special(tokens.size());
    for (const std::uint32_t id : content.specials) is_special[id] = true;
    for (std::uint32_t id = 0; id < tokens.size(); ++id) {
      if (!is_special[id] && tokens[id].size() == 1)
        byte_ids[static_cast<std::uint8_t>(tokens[id][0])] = id;
    }
    std::vector<std::uint32_t> merged;
    for (std::uint32_t id = 0; id < tokens.size(); ++id) {
      if (is_special[id]) continue;
      merged.clear();
      append_merged(merged, tokens[id]);
      if (merged.size() == 1) whole.emplace(tokens[id], id);
    }
  }

  void append_merged(std::vector<std::uint32_t>& ids, std::string_view piece) const {
    const std::size_t first = ids.size();
    for (const char byte : piece) ids.push_back(byte_ids[static_cast<std::uint8_t>(byte)]);
    merges.apply(ids, first);
  }

  std::string text;  // of the tokenizer.json
  TokenizerContent content;
  BpeMerges merges;
  std::string hash;
  std::array<std::uint32_t, 256> byte_ids{};
  // Tokens that merging their own bytes gives back. Most words of a text are among them and need no
  // merging.
  std::unordered_map<std::string_view, std::uint32_t> whole;
};

Tokenizer Tokenizer::load(const io::Path& path) {
  return parse(io::read_text(path), path.string());
}

Tokenizer Tokenizer::parse(std::string text, const std::string& name) {
  return Tokenizer(std::make_shared<const Parts>(std::move(text), name));
}

Tokenizer Tokenizer::train(std::span<const std::string_view> texts, std::size_t vocab_size) {
  require_vocab_size(vocab_size);
  BpeTrainer trainer;
  for (const std::string_view text : texts) trainer.add(text);
  return finish_training(trainer, vocab_size);
}

Tokenizer Tokenizer::train_on_files(std::span<const io::Path> paths, std::size_t vocab_size) {
  require_vocab_size(vocab_size);
  BpeTrainer trainer;
  for (const io::Path& path : paths) {
    const std::uint64_t size = io::File::open(path).size();
    for_each_piece(path, {0, size}, default_piece_bytes,
                   [&](std::string_view piece) { trainer.add(piece); });
  }
  return finish_training(trainer, vocab_size);
}

void Tokenizer::save(const io::Path& path) const {
  io::write_text_atomically(path, parts_->text);
}

std::vector<std::uint32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<std::uint32_t> ids;
  ids.reserve(text.size() / 3);  // English has three to five bytes a token
  Pieces pieces(text);
  for (std::string_view piece = pieces.next(); !piece.empty(); piece = pieces.next()) {
    const auto whole = parts_->whole.find(piece);
    if (whole != parts_->whole.end()) {
      ids.push_back(whole->second);
    } else {
      parts_->append_merged(ids, piece);
    }
  }
  return ids;
}

std::string Tokenizer::decode(std::span<const std::uint32_t> ids) const {
  std::string text;
  for (const std::uint32_t id : ids) text += token(id);
  return text;
}

std::string_view Tokenizer::token(std::uint32_t id) const {
  const std::vector<std::string>& tokens = parts_->content.vocabulary.tokens;
  require<DataError>(
      id < tokens.size(), "data.token-range",
      "token {} is out of range: the tokenizer has {} tokens; use the tokenizer that the "
      "tokens were made with",
      id, tokens.size());
  return tokens[id];
}

std::size_t Tokenizer::vocab_size() const {
  return parts_->content.vocabulary.tokens.size();
}
std::size_t Tokenizer::num_merges() const {
  return parts_->content.vocabulary.merges.size();
}
std::optional<std::uint32_t> Tokenizer::end_of_text() const {
  return parts_->content.end_of_text;
}
const std::string& Tokenizer::content_hash() const {
  return parts_->hash;
}

std::string StreamDecoder::push(std::uint32_t id) {
  pending_ += tokenizer_.token(id);
  std::string out;
  std::size_t at = 0;
  while (at < pending_.size()) {
    const Utf8Character character = utf8_character(pending_, at);
    if (character.state == Utf8State::incomplete) break;
    out += character.state == Utf8State::valid
               ? std::string_view(pending_).substr(at, character.length)
               : replacement_character;
    at += character.length;
  }
  pending_.erase(0, at);
  return out;
}

std::string StreamDecoder::finish() {
  const bool is_cut = !pending_.empty();
  pending_.clear();
  return is_cut ? std::string(replacement_character) : std::string();
}

}  // namespace motley
