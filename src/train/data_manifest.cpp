#include "train/data_manifest.h"

#include <nlohmann/json.hpp>

#include "tensor/error.h"
#include "tensor/json.h"

namespace motley {
namespace {

constexpr std::string_view format_name = "motley-data";
constexpr std::size_t hash_digits = 32;

std::string read_hash(const json::Value& value) {
  const std::string& hash = value.as_string();
  if (hash.size() != hash_digits ||
      hash.find_first_not_of("0123456789abcdef") != std::string::npos) {
    value.refuse("is not a hash of 32 hexadecimal digits");
  }
  return hash;
}

ManifestSplit read_split(const json::Value& value) {
  ManifestSplit split;
  split.tokens = value.get("tokens").as_size();
  split.text_bytes = value.get("text_bytes").as_size();
  split.documents = value.get("documents").as_size();
  const json::Value shards = value.get("shards");
  std::uint64_t left = split.tokens;
  for (std::size_t i = 0; i < shards.length(); ++i) {
    const json::Value shard = shards.at(i);
    const std::uint64_t tokens = shard.get("tokens").as_size();
    if (tokens > left) value.refuse("says fewer tokens than its shards have");
    left -= tokens;
    split.shards.push_back({.file = shard.get("file").as_file_name(),
                            .bytes = shard.get("bytes").as_size(),
                            .tokens = tokens,
                            .hash = read_hash(shard.get("xxh3_128"))});
  }
  if (left != 0) value.refuse("says more tokens than its shards have");
  return split;
}

nlohmann::ordered_json json_of(const ManifestSplit& split) {
  auto shards = nlohmann::ordered_json::array();
  for (const ManifestShard& shard : split.shards) {
    shards.push_back({{"file", shard.file},
                      {"bytes", shard.bytes},
                      {"tokens", shard.tokens},
                      {"xxh3_128", shard.hash}});
  }
  return {{"tokens", split.tokens},
          {"text_bytes", split.text_bytes},
          {"documents", split.documents},
          {"shards", std::move(shards)}};
}

}  // namespace

std::string_view name_of(Split split) {
  return split == Split::train ? "train" : "val";
}

DataManifest DataManifest::read(const io::Path& directory) {
  const io::Path path = path_in(directory);
  require<DataError>(
      io::exists(path), "data.no-manifest",
      "{} has no manifest.json; it is not a data directory: make one with 'motley data prepare', "
      "or name a single shard",
      directory.string());
  const json::Value root = json::read(path, json::Kind::data);
  require<DataError>(root.get("format").as_string() == format_name, "data.manifest",
                     "{}: the format is '{}', not '{}'; this is another program's file",
                     path.string(), root.get("format").as_string(), format_name);
  const std::size_t version = root.get("version").as_size();
  require<DataError>(
      version == format_version, "data.version",
      "{}: format version {}, but this program reads version {}; prepare the data again",
      path.string(), version, format_version);
  DataManifest manifest;
  manifest.vocab_size = root.get("vocab_size").as_size(1, std::size_t{1} << 31);
  manifest.tokenizer_file = root.get("tokenizer").get("file").as_file_name();
  manifest.tokenizer_hash = root.get("tokenizer").get("hash").as_string();
  manifest.train = read_split(root.get("splits").get(name_of(Split::train)));
  manifest.validation = read_split(root.get("splits").get(name_of(Split::validation)));
  return manifest;
}

Tokenizer DataManifest::load_tokenizer(const io::Path& directory) const {
  const io::Path path = directory / tokenizer_file;
  require<DataError>(io::exists(path), "data.missing",
                     "{} is missing, though the manifest lists it; copy the whole data directory",
                     path.string());
  Tokenizer tokenizer = Tokenizer::load(path);
  require<DataError>(tokenizer.content_hash() == tokenizer_hash, "data.tokenizer",
                     "{}: not the tokenizer that the data were made with; copy the whole data "
                     "directory again",
                     path.string());
  return tokenizer;
}

void DataManifest::write(const io::Path& directory) const {
  const nlohmann::ordered_json root = {
      {"format", format_name},
      {"version", format_version},
      {"vocab_size", vocab_size},
      {"tokenizer", {{"file", tokenizer_file}, {"hash", tokenizer_hash}}},
      {"splits",
       {{name_of(Split::train), json_of(train)},
        {name_of(Split::validation), json_of(validation)}}}};
  io::write_text_atomically(path_in(directory), root.dump(2) + "\n");
}

}  // namespace motley
