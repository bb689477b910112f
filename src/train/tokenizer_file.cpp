#include "train/tokenizer_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "tensor/json.h"
#include "train/byte_alphabet.h"

namespace motley {
namespace {

constexpr std::size_t max_file_bytes = std::size_t{256} << 20;
constexpr std::size_t max_vocab = std::size_t{1} << 24;

using Ids = std::unordered_map<std::string, std::uint32_t>;  // by the name in the file

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump();
}

void require_absent(const json::Value& object, std::string_view key) {
  const auto value = object.find(key);
  if (value) value->refuse("is not supported by this program; only null is");
}

void require_type(const json::Value& value, std::string_view type) {
  const json::Value found = value.get("type");
  if (found.as_string() != type) {
    found.refuse(
        fmt::format("is {}; only byte-level BPE like GPT-2's is supported, which has {} here",
                    quoted(found.as_string()), type));
  }
}

std::vector<bool> special_mask(const std::vector<std::uint32_t>& specials, std::size_t num_tokens) {
  std::vector<bool> mask(num_tokens);
  for (const std::uint32_t id : specials) mask[id] = true;
  return mask;
}

/// A member whose other value would change the tokens. Absent means `accepted`.
void require_flag(const json::Value& object, std::string_view key, bool accepted) {
  const auto value = object.find(key);
  if (value && value->as_bool() != accepted) {
    value->refuse(fmt::format("is {}; only {} is supported", !accepted, accepted));
  }
}

void require_empty_string(const json::Value& object, std::string_view key) {
  const auto value = object.find(key);
  if (value && !value->as_string().empty())
    value->refuse("is not supported by this program; only \"\" is");
}

/// Everything around the model: whatever would change the text or the tokens is refused.
void check_pipeline(const json::Value& root) {
  for (const std::string_view key : {"truncation", "padding", "normalizer"})
    require_absent(root, key);
  const json::Value pre = root.get("pre_tokenizer");
  require_type(pre, "ByteLevel");
  if (pre.get("add_prefix_space").as_bool()) {
    pre.get("add_prefix_space").refuse("is true; only false is supported");
  }
  require_flag(pre, "use_regex", true);
  require_type(root.get("decoder"), "ByteLevel");
  const auto post = root.find("post_processor");
  if (post) require_type(*post, "ByteLevel");  // it moves offsets, which nobody asks for here
}

void check_model(const json::Value& model) {
  if (model.find("type")) require_type(model, "BPE");  // the oldest files leave it out
  require_flag(model, "ignore_merges", false);
  require_empty_string(model, "continuing_subword_prefix");
  require_empty_string(model, "end_of_word_suffix");
  const auto dropout = model.find("dropout");
  if (dropout && dropout->as_double() != 0.0) dropout->refuse("is not supported; only null is");
}

/// Files tokens under their ids and sees to it that each id is used once and none is left out.
class IdTable {
 public:
  explicit IdTable(std::size_t size) : names_(size) {}

  /// Throws when another token has the id.
  void put(const json::Value& where, std::uint32_t id, const std::string& name) {
    if (id >= names_.size()) {
      where.refuse(
          fmt::format("has id {}, but there are {} tokens; ids must be 0, 1, 2 ... without holes",
                      id, names_.size()));
    }
    if (!names_[id].empty() && names_[id] != name) {
      where.refuse(fmt::format("has id {}, which another token has too", id));
    }
    names_[id] = name;
    ids_.emplace(name, id);
  }
  const std::vector<std::string>& names() const { return names_; }
  const Ids& ids() const { return ids_; }

 private:
  std::vector<std::string> names_;
  Ids ids_;
};

struct AddedToken {
  json::Value value;
  std::uint32_t id;
  std::string name;
};

std::vector<AddedToken> read_added_tokens(const json::Value& root) {
  std::vector<AddedToken> added;
  std::unordered_set<std::string> seen;
  const auto list = root.find("added_tokens");
  for (std::size_t i = 0; list && i < list->length(); ++i) {
    const json::Value value = list->at(i);
    if (!value.get("special").as_bool()) {
      value.refuse("is not special; tokens added to the text's own are not supported");
    }
    const std::string& name = value.get("content").as_string();
    if (name.empty()) value.get("content").refuse("is empty");
    if (!seen.insert(name).second) value.refuse("is listed twice");
    added.push_back(
        {value, static_cast<std::uint32_t>(value.get("id").as_size(0, max_vocab)), name});
  }
  return added;
}

/// All tokens by id, as the file names them.
IdTable read_ids(const json::Value& vocab, const std::vector<AddedToken>& added) {
  const std::vector<std::string> names = vocab.keys();
  std::size_t count = names.size();
  for (const AddedToken& token : added) {
    if (!vocab.find(token.name)) ++count;
  }
  if (count > max_vocab)
    vocab.refuse(fmt::format("has {} tokens; at most {} are accepted", count, max_vocab));
  IdTable table(count);
  for (const std::string& name : names) {
    const json::Value id = vocab.get(name);
    if (name.empty()) id.refuse("is a token without a name");
    table.put(id, static_cast<std::uint32_t>(id.as_size(0, max_vocab)), name);
  }
  for (const AddedToken& token : added) {
    const auto known = table.ids().find(token.name);
    if (known != table.ids().end() && known->second != token.id) {
      token.value.refuse(
          fmt::format("has id {}, but the same token has id {} elsewhere in the file", token.id,
                      known->second));
    }
    table.put(token.value, token.id, token.name);
  }
  // As many names as ids, each id below their number and used once: there are no holes left to look
  // for.
  return table;
}

std::pair<std::string, std::string> read_pair(const json::Value& value) {
  if (value.is_array()) {
    if (value.length() != 2) value.refuse("is no pair of tokens");
    return {value.at(0).as_string(), value.at(1).as_string()};
  }
  const std::string& text = value.as_string();
  const std::size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
    value.refuse("is no pair of tokens with one space between them");
  }
  return {text.substr(0, space), text.substr(space + 1)};
}

class MergeReader {
 public:
  MergeReader(const Ids& ids, const std::vector<bool>& is_special)
      : ids_(ids), is_special_(is_special) {}

  std::vector<Merge> read(const json::Value& list) {
    std::vector<Merge> merges;
    std::unordered_map<std::uint64_t, std::size_t> seen;
    for (std::size_t i = 0; i < list.length(); ++i) {
      const json::Value value = list.at(i);
      const auto [left, right] = read_pair(value);
      merges.push_back({id(value, left), id(value, right), id(value, left + right)});
      const std::uint64_t pair = (std::uint64_t{merges[i].left} << 32) | merges[i].right;
      const auto [first, is_new] = seen.emplace(pair, i);
      if (!is_new)
        value.refuse(fmt::format("repeats merge {}; each pair may stand once", first->second));
    }
    return merges;
  }

 private:
  std::uint32_t id(const json::Value& where, const std::string& name) const {
    const auto found = ids_.find(name);
    if (found == ids_.end()) {
      where.refuse(fmt::format("names the token {}, which the vocabulary lacks", quoted(name)));
    }
    // Otherwise a text could be encoded to a token that ends documents.
    if (is_special_[found->second]) where.refuse("merges to or from a special token");
    return found->second;
  }

  const Ids& ids_;
  const std::vector<bool>& is_special_;
};

/// The bytes of each token; a special token's are its name.
std::vector<std::string> read_bytes(const json::Value& vocab, const std::vector<std::string>& names,
                                    const std::vector<bool>& is_special) {
  std::vector<std::string> tokens;
  std::size_t num_bytes = 0;
  for (std::uint32_t id = 0; id < names.size(); ++id) {
    if (is_special[id]) {
      tokens.push_back(names[id]);
      continue;
    }
    std::optional<std::string> bytes = from_alphabet(names[id]);
    if (!bytes)
      vocab.get(names[id]).refuse("is a token that is not written in the byte alphabet of GPT-2");
    if (bytes->size() == 1) ++num_bytes;
    tokens.push_back(std::move(*bytes));
  }
  if (num_bytes != 256) {
    vocab.refuse(
        fmt::format("has {} of the 256 single bytes; without all of them not every text has tokens",
                    num_bytes));
  }
  return tokens;
}

}  // namespace

TokenizerContent parse_tokenizer_file(std::string_view text, const std::string& name) {
  const json::Value root =
      json::parse(text, name, json::Kind::data, {.max_bytes = max_file_bytes, .max_depth = 16});
  check_pipeline(root);
  const json::Value model = root.get("model");
  check_model(model);
  const json::Value vocab = model.get("vocab");
  const std::vector<AddedToken> added = read_added_tokens(root);
  const IdTable table = read_ids(vocab, added);

  TokenizerContent content;
  for (const AddedToken& token : added) {
    content.specials.push_back(token.id);
    if (token.name == end_of_text_name) content.end_of_text = token.id;
  }
  const std::vector<bool> is_special = special_mask(content.specials, table.names().size());
  content.vocabulary.tokens = read_bytes(vocab, table.names(), is_special);
  content.vocabulary.merges = MergeReader(table.ids(), is_special).read(model.get("merges"));
  return content;
}

std::string format_tokenizer_file(const TokenizerContent& content) {
  const BpeVocabulary& vocabulary = content.vocabulary;
  const std::vector<bool> is_special = special_mask(content.specials, vocabulary.tokens.size());
  std::string added;
  for (const std::uint32_t id : content.specials) {
    added += fmt::format(
        "{}\n    {{\"id\": {}, \"content\": {}, \"single_word\": false, \"lstrip\": false, "
        "\"rstrip\": false, \"normalized\": false, \"special\": true}}",
        added.empty() ? "" : ",", id, quoted(vocabulary.tokens[id]));
  }
  std::string vocab;
  for (std::uint32_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& bytes = vocabulary.tokens[id];
    vocab += fmt::format("{}\n      {}: {}", id == 0 ? "" : ",",
                         quoted(is_special[id] ? bytes : to_alphabet(bytes)), id);
  }
  std::string merges;
  for (const Merge& merge : vocabulary.merges) {
    const std::string pair = to_alphabet(vocabulary.tokens[merge.left]) + ' ' +
                             to_alphabet(vocabulary.tokens[merge.right]);
    merges += fmt::format("{}\n      {}", merges.empty() ? "" : ",", quoted(pair));
  }
  constexpr std::string_view byte_level =
      R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})";
  return fmt::format(R"({{
  "version": "1.0",
  "truncation": null,
  "padding": null,
  "added_tokens": [{}
  ],
  "normalizer": null,
  "pre_tokenizer": {},
  "post_processor": null,
  "decoder": {},
  "model": {{
    "type": "BPE",
    "dropout": null,
    "unk_token": null,
    "continuing_subword_prefix": null,
    "end_of_word_suffix": null,
    "fuse_unk": false,
    "byte_fallback": false,
    "ignore_merges": false,
    "vocab": {{{}
    }},
    "merges": [{}
    ]
  }}
}}
)",
                     added, byte_level, byte_level, vocab, merges);
}

}  // namespace motley
