// motley data prepare | inspect: from text to token shards, and what a data directory or a shard
// holds.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "launch/command.h"
#include "tensor/error.h"
#include "train/data_prepare.h"
#include "train/dataset.h"
#include "train/suggest.h"
#include "train/tokenizer.h"

namespace motley::launch {
namespace {

constexpr std::size_t tokens_shown = 32;
constexpr std::size_t verify_block = std::size_t{1} << 20;

void print_split(Split split, const ManifestSplit& part) {
  if (part.shards.empty()) {
    fmt::print("{:<6}none\n", name_of(split));
    return;
  }
  fmt::print("{:<6}{} tokens in {} shards, {} documents, {} bytes of text ({:.2f} bytes a token)\n",
             name_of(split), part.tokens, part.shards.size(), part.documents, part.text_bytes,
             static_cast<double>(part.text_bytes) / static_cast<double>(part.tokens));
}

int prepare(Arguments arguments) {
  cxxopts::Options options("motley data prepare",
                           "Turns text into token shards with a validation split.\n");
  options.custom_help("--tokenizer TOKENIZER.json -o DIRECTORY [options]")
      .positional_help("FILE...");
  auto add = options.add_options();
  add("tokenizer", "the tokenizer.json to use", cxxopts::value<std::string>(), "FILE");
  add("o,output", "the data directory to make", cxxopts::value<std::string>(), "DIRECTORY");
  add("val", "what to hold back for validation: a percentage, a number of tokens, or 0",
      cxxopts::value<std::string>()->default_value("5%"), "PART");
  add("jsonl", "the files hold one JSON object a line, each a document");
  add("field", "the member of a JSON object that holds the text",
      cxxopts::value<std::string>()->default_value("text"), "NAME");
  add("shard-tokens", "tokens in a shard",
      cxxopts::value<std::uint64_t>()->default_value("100000000"), "N");
  add("overwrite", "replace a data directory that an earlier call made");
  add("files", "texts", cxxopts::value<std::vector<std::string>>());
  options.parse_positional({"files"});
  const auto parsed = parse_options(options, arguments);
  if (!parsed) return 0;
  require<ConfigError>(
      parsed->count("files") > 0, "usage.missing",
      "no text was named; name at least one file (see motley data prepare --help)");
  const auto& files = (*parsed)["files"].as<std::vector<std::string>>();
  const bool is_jsonl = parsed->count("jsonl") > 0;
  const DataManifest manifest =
      prepare_data({.files = {files.begin(), files.end()},
                    .tokenizer = required_text(*parsed, "tokenizer"),
                    .output = required_text(*parsed, "output"),
                    .format = is_jsonl ? TextFormat::jsonl : TextFormat::plain,
                    .field = (*parsed)["field"].as<std::string>(),
                    .validation = ValidationPart::parse((*parsed)["val"].as<std::string>()),
                    .shard_tokens = (*parsed)["shard-tokens"].as<std::uint64_t>(),
                    .existing = parsed->count("overwrite") > 0 ? ExistingOutput::overwrite
                                                               : ExistingOutput::refuse});
  print_split(Split::train, manifest.train);
  print_split(Split::validation, manifest.validation);
  return 0;
}

// Reads every token, so that each is checked against the vocabulary.
void read_all(const Dataset& dataset) {
  std::vector<std::uint32_t> block(verify_block);
  for (std::uint64_t first = 0; first < dataset.num_tokens(); first += block.size()) {
    const std::uint64_t left = dataset.num_tokens() - first;
    dataset.read(first, std::span(block).first(
                            static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), left))));
  }
}

void print_start(const Dataset& dataset, const std::optional<Tokenizer>& tokenizer) {
  std::vector<std::uint32_t> tokens(
      static_cast<std::size_t>(std::min<std::uint64_t>(dataset.num_tokens(), tokens_shown)));
  dataset.read(0, tokens);
  fmt::print("      starts with tokens {}\n", fmt::join(tokens, " "));
  // As a quoted string: a text may hold line ends and control characters.
  if (tokenizer) fmt::print("      that is {:?}\n", tokenizer->decode(tokens));
}

void inspect_directory(const io::Path& directory, Verify verify) {
  const DataManifest manifest = DataManifest::read(directory);
  const io::Path tokenizer_path = directory / manifest.tokenizer_file;
  std::optional<Tokenizer> tokenizer;
  if (io::exists(tokenizer_path)) tokenizer = manifest.load_tokenizer(directory);
  fmt::print("{}: vocabulary {}, tokenizer {}\n", directory.string(), manifest.vocab_size,
             tokenizer ? manifest.tokenizer_hash : "missing");
  for (const Split split : {Split::train, Split::validation}) {
    print_split(split, manifest.split(split));
    if (manifest.split(split).shards.empty()) continue;
    const Dataset dataset = Dataset::open(directory, split, verify);
    for (const ManifestShard& shard : manifest.split(split).shards) {
      fmt::print("      {}  {} tokens  {} bytes  {}{}\n", shard.file, shard.tokens, shard.bytes,
                 shard.hash, verify == Verify::hashes ? " ok" : "");
    }
    if (verify == Verify::hashes) read_all(dataset);
    print_start(dataset, tokenizer);
  }
}

void inspect_shard(const io::Path& path, Verify verify) {
  const Dataset dataset = Dataset::open(path, Split::train);
  const ShardReader& shard = dataset.shard(0);
  fmt::print("{}: llm.c token shard, version {} ({}-bit tokens)\n", path.string(),
             static_cast<int>(shard.version()), 8 * token_bytes(shard.version()));
  fmt::print("      {} tokens  {} bytes  {}\n", shard.num_tokens(), shard.size(),
             hash_of_file(path));
  if (verify == Verify::hashes) read_all(dataset);
  print_start(dataset, std::nullopt);
}

int inspect(Arguments arguments) {
  cxxopts::Options options("motley data inspect",
                           "Shows what a data directory or a token shard holds.\n");
  options.positional_help("DIRECTORY|SHARD");
  options.add_options()("verify", "read everything: check the hashes and the range of every token")(
      "path", "a data directory or a shard", cxxopts::value<std::string>());
  options.parse_positional({"path"});
  const auto parsed = parse_options(options, arguments);
  if (!parsed) return 0;
  require<ConfigError>(
      parsed->count("path") == 1, "usage.missing",
      "data inspect needs a data directory or a shard; see 'motley data inspect --help'");
  const io::Path path = (*parsed)["path"].as<std::string>();
  const Verify verify = parsed->count("verify") > 0 ? Verify::hashes : Verify::sizes;
  if (io::is_directory(path)) {
    inspect_directory(path, verify);
  } else {
    inspect_shard(path, verify);
  }
  return 0;
}

}  // namespace

int command_data(Arguments arguments) {
  const std::string action = arguments.empty() ? "" : arguments.front();
  if (action == "prepare") return prepare(arguments.subspan(1));
  if (action == "inspect") return inspect(arguments.subspan(1));
  if (asks_for_help(arguments)) {
    fmt::print(
        "Usage: motley data ACTION [ARGUMENTS]\n\n"
        "  prepare    turn text into token shards with a validation split\n"
        "  inspect    show and verify what a data directory or a shard holds\n\n"
        "`motley data ACTION --help` explains an action.\n");
    return 0;
  }
  const std::vector<std::string> known{"prepare", "inspect"};
  fail<ConfigError>("usage.unknown-command",
                    "motley data {}\n  no such command{}  (all: motley data --help)", action,
                    suggestion(action, known));
}

}  // namespace motley::launch
