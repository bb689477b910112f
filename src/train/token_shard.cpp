#include "train/token_shard.h"

#include <algorithm>
#include <array>
#include <bit>

#include "tensor/checked.h"
#include "tensor/error.h"

namespace motley {
namespace {

static_assert(std::endian::native == std::endian::little,
              "shards are little-endian and read as they lie");

constexpr std::int32_t magic_u16 = 20240520;
constexpr std::int32_t magic_u32 = 20240801;
constexpr std::int32_t magic_evaluation = 20240522;
constexpr std::int32_t magic_model = 20240326;
// Tokens converted between 16 and 32 bits at a time.
constexpr std::size_t block_tokens = std::size_t{1} << 16;
constexpr std::uint64_t max_count_of_llm_c = (std::uint64_t{1} << 31) - 1;

using Header = std::array<std::uint32_t, shard_header_bytes / 4>;

[[noreturn]] void refuse_magic(const io::Path& path, std::int32_t magic) {
  if (magic == magic_evaluation || magic == magic_model) {
    fail<DataError>("data.magic",
                    "{}: this is llm.c's {} format, not a token shard; give a shard "
                    "(magic {} or {})",
                    path.string(), magic == magic_model ? "model" : "evaluation", magic_u16,
                    magic_u32);
  }
  fail<DataError>(
      "data.magic",
      "{}: starts with {} but a token shard starts with {} (16-bit tokens) or {} (32-bit); files "
      "without a header, as nanoGPT writes them, do not say which vocabulary they are for and "
      "are not read: make shards from the text with 'motley data prepare'",
      path.string(), magic, magic_u16, magic_u32);
}

ShardVersion version_of(const io::Path& path, const Header& header) {
  const auto magic = static_cast<std::int32_t>(header[0]);
  if (magic != magic_u16 && magic != magic_u32) refuse_magic(path, magic);
  const ShardVersion version = magic == magic_u16 ? ShardVersion::u16 : ShardVersion::u32;
  require<DataError>(
      header[1] == static_cast<std::uint32_t>(version), "data.version",
      "{}: format version {}, but shards with magic {} are read in version {} only; make "
      "the shard again",
      path.string(), header[1], magic, static_cast<int>(version));
  return version;
}

std::uint64_t count_of(const io::Path& path, const Header& header) {
  const std::uint64_t wide = header[3] | (std::uint64_t{header[4]} << 32);
  require<DataError>(
      header[2] <= max_count_of_llm_c && (wide == 0 || header[2] == 0 || header[2] == wide),
      "data.header",
      "{}: the header's token counts, {} (32-bit) and {} (64-bit), contradict each other or "
      "are negative; make the shard again",
      path.string(), header[2], wide);
  return wide != 0 ? wide : header[2];
}

// Compares by division: a count from a damaged header may not fit 64 bits in bytes.
void check_size(const io::Path& path, std::uint64_t size, std::uint64_t count,
                ShardVersion version) {
  const std::uint64_t payload = size - shard_header_bytes;
  const std::size_t width = token_bytes(version);
  if (payload % width == 0 && payload / width == count) return;
  fail<DataError>(
      "data.size",
      "{}: the header promises {} tokens of {} bytes, but {} bytes follow it ({} tokens); the file "
      "was {}; copy or make it again",
      path.string(), count, width, payload, payload / width,
      payload / width < count ? "cut short or its header is damaged"
                              : "added to or its header is damaged");
}

}  // namespace

ShardReader::ShardReader(const io::Path& path) : file_(io::File::open(path)) {
  const std::uint64_t size = file_.size();
  require<DataError>(
      size >= shard_header_bytes, "data.truncated",
      "{}: {} bytes, but a token shard starts with a header of {}; the file was cut short or "
      "is something else",
      path.string(), size, shard_header_bytes);
  Header header{};
  file_.read_at(0, std::as_writable_bytes(std::span(header)));
  version_ = version_of(path, header);
  num_tokens_ = count_of(path, header);
  check_size(path, size, num_tokens_, version_);
}

void ShardReader::read(std::uint64_t first, std::span<std::uint32_t> tokens) const {
  require<DataError>(first <= num_tokens_ && tokens.size() <= num_tokens_ - first, "data.range",
                     "{}: tokens [{}, +{}) were asked for, but the shard has {}", path().string(),
                     first, tokens.size(), num_tokens_);
  if (version_ == ShardVersion::u32) {
    file_.read_at(shard_header_bytes + 4 * first, std::as_writable_bytes(tokens));
    return;
  }
  std::vector<std::uint16_t> narrow(std::min(tokens.size(), block_tokens));
  for (std::size_t done = 0; done < tokens.size(); done += narrow.size()) {
    const std::size_t count = std::min(narrow.size(), tokens.size() - done);
    file_.read_at(shard_header_bytes + 2 * (first + done),
                  std::as_writable_bytes(std::span(narrow.data(), count)));
    std::copy_n(narrow.begin(), count, tokens.begin() + static_cast<std::ptrdiff_t>(done));
  }
}

void check_token_range(const io::Path& path, std::uint64_t first,
                       std::span<const std::uint32_t> tokens, std::size_t vocab_size) {
  const auto bad =
      std::find_if(tokens.begin(), tokens.end(), [&](auto t) { return t >= vocab_size; });
  if (bad == tokens.end()) return;
  fail<DataError>(
      "data.token-range",
      "{}: token {} at position {}, but the vocabulary has {} tokens; the shard belongs to another "
      "tokenizer or is damaged ('motley data inspect --verify' tells which)",
      path.string(), *bad, first + static_cast<std::uint64_t>(bad - tokens.begin()), vocab_size);
}

ShardWriter::ShardWriter(const io::Path& path, std::size_t vocab_size)
    : file_(io::File::create(path)),
      vocab_size_(vocab_size),
      version_(shard_version_for(vocab_size)) {
  const Header blank{};
  file_.write(std::as_bytes(std::span(blank)));
}

void ShardWriter::append(std::span<const std::uint32_t> tokens) {
  check_token_range(path(), num_tokens_, tokens, vocab_size_);
  if (version_ == ShardVersion::u32) {
    file_.write(std::as_bytes(tokens));
  } else {
    narrow_.resize(tokens.size());
    std::transform(tokens.begin(), tokens.end(), narrow_.begin(),
                   [](std::uint32_t token) { return narrow<std::uint16_t>(token); });
    file_.write(std::as_bytes(std::span(narrow_)));
  }
  num_tokens_ += tokens.size();
}

void ShardWriter::finish() {
  Header header{};
  header[0] = static_cast<std::uint32_t>(version_ == ShardVersion::u16 ? magic_u16 : magic_u32);
  header[1] = static_cast<std::uint32_t>(version_);
  if (num_tokens_ <= max_count_of_llm_c) {
    header[2] = static_cast<std::uint32_t>(num_tokens_);
  } else {
    header[3] = static_cast<std::uint32_t>(num_tokens_);
    header[4] = static_cast<std::uint32_t>(num_tokens_ >> 32);
  }
  file_.write_at(0, std::as_bytes(std::span(header)));
  file_.sync();
  file_.close();
}

}  // namespace motley
