// motley tokenizer train | encode | decode | info: learns a vocabulary from text, and turns text
// into tokens and back.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "launch/command.h"
#include "tensor/error.h"
#include "train/suggest.h"
#include "train/text_source.h"
#include "train/tokenizer.h"

namespace motley::launch {
namespace {

constexpr std::size_t default_vocab_size = 4096;
constexpr std::string_view blanks = " \t\r\n";

/// All of standard input. Throws IoError when reading fails.
std::string read_standard_input() {
  std::string text;
  std::vector<char> block(std::size_t{1} << 16);
  while (const std::size_t count = std::fread(block.data(), 1, block.size(), stdin)) {
    text.append(block.data(), count);
  }
  require<IoError>(std::ferror(stdin) == 0, "io.failed", "cannot read standard input");
  return text;
}

/// Text or bytes as they are. main() checks at the end that all was written.
void print_raw(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void require_option(const cxxopts::ParseResult& parsed, const char* name,
                    const std::string& action) {
  require<ConfigError>(
      parsed.count(name) > 0, "usage.missing",
      "tokenizer {} needs {}; see 'motley tokenizer {} --help'", action,
      std::string(name) == "texts" ? "at least one text" : std::string("--") + name, action);
}

/// Training takes a while: a path that cannot be written is better known before.
void check_output(const io::Path& path, bool may_overwrite) {
  const io::Path parent = path.has_parent_path() ? path.parent_path() : io::Path(".");
  require<ConfigError>(io::is_directory(parent), "usage.output",
                       "{}: {} is no directory; make it first or give another --output",
                       path.string(), parent.string());
  require<ConfigError>(!io::is_directory(path), "usage.output",
                       "{} is a directory; name a file in it", path.string());
  require<ConfigError>(may_overwrite || !io::exists(path), "usage.exists",
                       "{} exists; use --overwrite to replace it, or another --output",
                       path.string());
}

int train(Arguments arguments) {
  cxxopts::Options options("motley tokenizer train",
                           "Learns a byte-level BPE vocabulary from texts of any encoding.\n");
  options.custom_help("-o TOKENIZER.json [options]").positional_help("TEXT...");
  auto add = options.add_options();
  add("vocab", "tokens in the vocabulary, 257 to 1000000: the 256 bytes, merges, <|endoftext|>",
      cxxopts::value<std::size_t>()->default_value(std::to_string(default_vocab_size)), "N");
  add("o,output", "the tokenizer.json to write", cxxopts::value<std::string>(), "FILE");
  add("overwrite", "replace an output file that exists");
  add("texts", "texts", cxxopts::value<std::vector<std::string>>());
  options.parse_positional({"texts"});
  const auto parsed = parse_options(options, arguments);
  if (!parsed) return 0;
  require_option(*parsed, "output", "train");
  require_option(*parsed, "texts", "train");
  const io::Path output = (*parsed)["output"].as<std::string>();
  check_output(output, parsed->count("overwrite") > 0);

  const auto& names = (*parsed)["texts"].as<std::vector<std::string>>();
  const std::vector<io::Path> paths(names.begin(), names.end());
  const auto wanted = (*parsed)["vocab"].as<std::size_t>();
  const Tokenizer tokenizer = Tokenizer::train_on_files(paths, wanted);
  tokenizer.save(output);
  fmt::print("{}: {} tokens\n", output.string(), tokenizer.vocab_size());
  if (tokenizer.vocab_size() < wanted) {
    fmt::print("The text has no more pairs that occur twice; {} tokens were asked for.\n", wanted);
  }
  return 0;
}

/// Options that encode, decode and info share. No value after --help.
struct Input {
  Tokenizer tokenizer;
  std::optional<std::string> file;
};
std::optional<Input> parse_input(const std::string& action, const char* summary,
                                 Arguments arguments) {
  cxxopts::Options options("motley tokenizer " + action, summary);
  auto add = options.add_options();
  add("t,tokenizer", "the tokenizer.json to use", cxxopts::value<std::string>(), "FILE");
  options.custom_help("-t TOKENIZER.json");
  if (action != "info") {
    add("file", "what to read; standard input by default", cxxopts::value<std::string>());
    options.parse_positional({"file"});
    options.positional_help("[FILE]");
  }
  const auto parsed = parse_options(options, arguments);
  if (!parsed) return std::nullopt;
  require_option(*parsed, "tokenizer", action);
  Input input{Tokenizer::load((*parsed)["tokenizer"].as<std::string>()), std::nullopt};
  if (action != "info" && parsed->count("file") > 0)
    input.file = (*parsed)["file"].as<std::string>();
  return input;
}

int encode(Arguments arguments) {
  const auto input = parse_input("encode", "Prints the tokens of a text.\n", arguments);
  if (!input) return 0;
  const char* separator = "";
  const auto print_tokens = [&](std::string_view text) {
    for (const std::uint32_t id : input->tokenizer.encode(text)) {
      fmt::print("{}{}", separator, id);
      separator = " ";
    }
  };
  if (input->file) {
    const std::uint64_t size = io::File::open(*input->file).size();
    for_each_piece(*input->file, {0, size}, default_piece_bytes, print_tokens);
  } else {
    print_tokens(read_standard_input());
  }
  fmt::print("\n");
  return 0;
}

int decode(Arguments arguments) {
  const auto input =
      parse_input("decode", "Prints the text of tokens, numbers with blanks between.\n", arguments);
  if (!input) return 0;
  const std::string text = input->file ? io::read_text(*input->file) : read_standard_input();
  for (std::size_t at = text.find_first_not_of(blanks); at != std::string::npos;
       at = text.find_first_not_of(blanks, at)) {
    const std::size_t end = std::min(text.find_first_of(blanks, at), text.size());
    std::uint32_t id = 0;
    const auto [stop, error] = std::from_chars(text.data() + at, text.data() + end, id);
    require<DataError>(
        error == std::errc() && stop == text.data() + end, "data.token",
        "{}: '{}' at byte {} is no token; tokens are whole numbers with blanks between",
        input->file.value_or("standard input"),
        text.substr(at, std::min<std::size_t>(end - at, 40)), at);
    print_raw(input->tokenizer.token(id));
    at = end;
  }
  return 0;
}

int info(Arguments arguments) {
  const auto input = parse_input("info", "Shows what a tokenizer.json holds.\n", arguments);
  if (!input) return 0;
  const Tokenizer& tokenizer = input->tokenizer;
  std::size_t longest = 0;
  for (std::uint32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    longest = std::max(longest, tokenizer.token(id).size());
  }
  const auto end = tokenizer.end_of_text();
  fmt::print("kind         byte-level BPE, GPT-2 pre-split\n");
  fmt::print("vocabulary   {} tokens, the longest of {} bytes\n", tokenizer.vocab_size(), longest);
  fmt::print("merges       {}\n", tokenizer.num_merges());
  fmt::print("end of text  {}\n", end ? std::to_string(*end) : "none");
  fmt::print("hash         {}\n", tokenizer.content_hash());
  return 0;
}

}  // namespace

int command_tokenizer(Arguments arguments) {
  const std::string action = arguments.empty() ? "" : arguments.front();
  if (action == "train") return train(arguments.subspan(1));
  if (action == "encode") return encode(arguments.subspan(1));
  if (action == "decode") return decode(arguments.subspan(1));
  if (action == "info") return info(arguments.subspan(1));
  if (action == "--help" || action == "-h" || action == "help") {
    fmt::print(
        "motley tokenizer train --vocab N -o TOKENIZER.json TEXT...\n"
        "motley tokenizer encode -t TOKENIZER.json [FILE]\n"
        "motley tokenizer decode -t TOKENIZER.json [FILE]\n"
        "motley tokenizer info -t TOKENIZER.json\n"
        "Each has --help.\n");
    return 0;
  }
  const std::vector<std::string> actions{"train", "encode", "decode", "info"};
  fail<ConfigError>("usage.action",
                    "tokenizer {}\n  no such action{}  (all: motley tokenizer --help)", action,
                    suggestion(action, actions));
}

}  // namespace motley::launch
