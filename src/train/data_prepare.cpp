#include "train/data_prepare.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <set>

#include "tensor/draft_directory.h"
#include "tensor/error.h"
#include "tensor/json.h"
#include "train/data_writer.h"
#include "train/tokenizer.h"

namespace motley {
namespace {

constexpr double max_validation_fraction = 0.5;
constexpr std::string_view tokenizer_file = "tokenizer.json";

// "data/" and "data" are the same directory; only the second can be renamed to.
io::Path without_trailing_slash(const io::Path& path) {
  const io::Path normal = path.lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

std::set<std::string> names_written(const io::Path& directory) {
  const DataManifest manifest = DataManifest::read(directory);
  std::set<std::string> names = {DataManifest::path_in(directory).filename().string(),
                                 manifest.tokenizer_file};
  for (const Split split : {Split::train, Split::validation}) {
    for (const ManifestShard& shard : manifest.split(split).shards) names.insert(shard.file);
  }
  return names;
}

void check_output(const io::Path& output, ExistingOutput existing) {
  require<ConfigError>(!output.empty(), "data.output",
                       "no output directory was given; add -o DIRECTORY");
  if (!io::exists(output)) return;
  require<ConfigError>(io::is_directory(output), "data.output",
                       "{} is a file; name a directory that does not exist yet", output.string());
  const std::vector<std::string> names = io::list(output);
  if (names.empty()) return;
  require<ConfigError>(
      existing == ExistingOutput::overwrite, "data.exists",
      "{} is not empty; give --overwrite to replace the data in it, or name another "
      "directory",
      output.string());
  require<ConfigError>(
      io::exists(DataManifest::path_in(output)), "data.exists",
      "{} holds no manifest.json; --overwrite replaces only what 'data prepare' wrote: "
      "name another directory",
      output.string());
  const std::set<std::string> ours = names_written(output);
  for (const std::string& name : names) {
    require<ConfigError>(
        ours.contains(name), "data.exists",
        "{} holds {}, which its manifest does not list; --overwrite replaces only what "
        "'data prepare' wrote: move the file away, or name another directory",
        output.string(), name);
  }
}

void check_settings(const PrepareSettings& settings) {
  require<ConfigError>(!settings.files.empty(), "data.no-input",
                       "no text was given; name at least one file");
  require<ConfigError>(settings.piece_bytes > 0, "data.piece",
                       "texts cannot be read in pieces of 0 bytes");
  const double fraction = settings.validation.fraction;
  require<ConfigError>(fraction >= 0 && fraction <= max_validation_fraction, "data.validation",
                       "a validation split of {:g} % was asked for; it is 0 to {:g} %",
                       100 * fraction, 100 * max_validation_fraction);
}

// What a pass over the texts calls: for every piece of every document, and whether the document
// starts there.
enum class Place { start, continued };
using UsePiece = std::function<void(Split split, Place place, std::string_view piece)>;

// Every how manyth document is for validation; 0 for none.
std::uint64_t validation_stride(double fraction) {
  return fraction == 0 ? 0 : static_cast<std::uint64_t>(std::llround(1 / fraction));
}

Split split_of(std::uint64_t document, std::uint64_t stride) {
  return stride != 0 && document % stride == stride - 1 ? Split::validation : Split::train;
}

void visit_range(const io::Path& path, const ByteRange& range, std::size_t piece_bytes, Split split,
                 const UsePiece& use) {
  Place place = Place::start;
  for_each_piece(path, range, piece_bytes, [&](std::string_view piece) {
    use(split, place, piece);
    place = Place::continued;
  });
}

void visit_texts(const PrepareSettings& settings, double fraction, const UsePiece& use) {
  const std::uint64_t stride = validation_stride(fraction);
  const bool whole_texts = stride == 0 || settings.files.size() >= stride;
  std::uint64_t document = 0;
  for (const io::Path& path : settings.files) {
    const std::uint64_t size = io::File::open(path).size();
    if (size == 0) continue;
    if (whole_texts) {
      visit_range(path, {0, size}, settings.piece_bytes, split_of(document++, stride), use);
      continue;
    }
    const auto held_back =
        static_cast<std::uint64_t>(std::llround(fraction * static_cast<double>(size)));
    const std::uint64_t cut = cut_before(path, size - std::min(held_back, size));
    visit_range(path, {0, cut}, settings.piece_bytes, Split::train, use);
    visit_range(path, {cut, size}, settings.piece_bytes, Split::validation, use);
  }
}

void visit_jsonl(const PrepareSettings& settings, double fraction, const UsePiece& use) {
  const std::uint64_t stride = validation_stride(fraction);
  std::uint64_t document = 0;
  for (const io::Path& path : settings.files) {
    for_each_line(path, [&](std::uint64_t number, std::string_view line) {
      if (line.find_first_not_of(" \t") == std::string_view::npos) return;
      const json::Value object =
          json::parse(line, fmt::format("{}:{}", path.string(), number), json::Kind::data);
      const json::Value text = object.get(settings.field);
      if (text.as_string().empty()) return;
      use(split_of(document++, stride), Place::start, text.as_string());
    });
  }
}

void visit(const PrepareSettings& settings, double fraction, const UsePiece& use) {
  if (settings.format == TextFormat::plain) return visit_texts(settings, fraction, use);
  visit_jsonl(settings, fraction, use);
}

double resolve_fraction(const PrepareSettings& settings, const Tokenizer& tokenizer) {
  const std::uint64_t wanted = settings.validation.tokens;
  if (wanted == 0) return settings.validation.fraction;
  std::uint64_t total = 0;
  visit(settings, 0.0, [&](Split, Place place, std::string_view piece) {
    total += tokenizer.encode(piece).size() + (place == Place::start ? 1 : 0);
  });
  const double fraction =
      static_cast<double>(wanted) / static_cast<double>(std::max<std::uint64_t>(total, 1));
  require<ConfigError>(
      fraction <= max_validation_fraction, "data.validation",
      "{} validation tokens were asked for, but the text has {} tokens; at most half of it "
      "can be held back",
      wanted, total);
  return fraction;
}

void require_text(const ManifestSplit& split, const PrepareSettings& settings, Split which) {
  if (which == Split::train) {
    require<DataError>(
        split.documents > 0, "data.too-small",
        "{} and {} more files hold no text to train on; give more text or less --val",
        settings.files.front().string(), settings.files.size() - 1);
    return;
  }
  require<DataError>(
      split.documents > 0, "data.too-small",
      "{} and {} more files hold too few documents for the validation split; give more text, "
      "a larger --val, or --val 0 for none",
      settings.files.front().string(), settings.files.size() - 1);
}

void copy_tokenizer(const PrepareSettings& settings, const io::Path& directory) {
  io::write_text_atomically(directory / tokenizer_file, io::read_text(settings.tokenizer));
}

}  // namespace

ValidationPart ValidationPart::parse(std::string_view text) {
  const bool is_percent = text.ends_with('%');
  const std::string_view digits = text.substr(0, text.size() - (is_percent ? 1 : 0));
  const char* const end = digits.data() + digits.size();
  ValidationPart part{.fraction = 0};
  double percent = 0;
  const auto result = is_percent ? std::from_chars(digits.data(), end, percent)
                                 : std::from_chars(digits.data(), end, part.tokens);
  require<ConfigError>(!digits.empty() && result.ec == std::errc() && result.ptr == end,
                       "data.validation",
                       "--val {}: neither a percentage such as 5% nor a number of tokens", text);
  part.fraction = percent / 100;
  require<ConfigError>(part.fraction >= 0 && part.fraction <= max_validation_fraction,
                       "data.validation", "--val {}: a validation split is 0 to {:g} % of the text",
                       text, 100 * max_validation_fraction);
  return part;
}

DataManifest prepare_data(const PrepareSettings& settings) {
  check_settings(settings);
  const io::Path output = without_trailing_slash(settings.output);
  check_output(output, settings.existing);
  const Tokenizer tokenizer = Tokenizer::load(settings.tokenizer);
  const std::optional<std::uint32_t> end_of_text = tokenizer.end_of_text();
  require<DataError>(
      end_of_text.has_value(), "data.tokenizer",
      "{}: the tokenizer has no <|endoftext|>, which separates documents; train one with "
      "'motley tokenizer train'",
      settings.tokenizer.string());
  const double fraction = resolve_fraction(settings, tokenizer);

  DraftDirectory partial(output, ".partial");
  check_output(output, settings.existing);  // again: another call may have filled it meanwhile
  const std::size_t vocab_size = tokenizer.vocab_size();
  SplitWriter train(partial.path(), Split::train, vocab_size, settings.shard_tokens);
  SplitWriter validation(partial.path(), Split::validation, vocab_size, settings.shard_tokens);
  visit(settings, fraction, [&](Split split, Place place, std::string_view piece) {
    SplitWriter& writer = split == Split::train ? train : validation;
    if (place == Place::start) writer.begin_document(*end_of_text);
    writer.append(tokenizer.encode(piece), piece.size());
  });
  DataManifest manifest{.vocab_size = vocab_size,
                        .tokenizer_file = std::string(tokenizer_file),
                        .tokenizer_hash = tokenizer.content_hash(),
                        .train = train.finish(),
                        .validation = validation.finish()};
  require_text(manifest.train, settings, Split::train);
  if (fraction > 0) require_text(manifest.validation, settings, Split::validation);
  copy_tokenizer(settings, partial.path());
  manifest.write(partial.path());
  partial.replace();
  return manifest;
}

}  // namespace motley
