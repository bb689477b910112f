#include "train/data_writer.h"

#include <algorithm>
#include <utility>

#include "tensor/error.h"
#include "tensor/log.h"

namespace motley {

SplitWriter::SplitWriter(const io::Path& directory, Split split, std::size_t vocab_size,
                         std::uint64_t shard_tokens)
    : directory_(directory), split_(split), vocab_size_(vocab_size), shard_tokens_(shard_tokens) {
  require<ConfigError>(shard_tokens > 0, "data.shard-tokens",
                       "shards of 0 tokens were asked for; --shard-tokens is at least 1");
}

void SplitWriter::begin_document(std::uint32_t end_of_text) {
  append_tokens(std::span(&end_of_text, 1));
  ++written_.documents;
}

void SplitWriter::append(std::span<const std::uint32_t> tokens, std::uint64_t text_bytes) {
  append_tokens(tokens);
  written_.text_bytes += text_bytes;
}

void SplitWriter::append_tokens(std::span<const std::uint32_t> tokens) {
  while (!tokens.empty()) {
    if (!shard_) {
      const std::string name = fmt::format("{}_{:06}.bin", name_of(split_), written_.shards.size());
      shard_.emplace(directory_ / name, vocab_size_);
    }
    const auto count = static_cast<std::size_t>(
        std::min<std::uint64_t>(tokens.size(), shard_tokens_ - shard_->num_tokens()));
    shard_->append(tokens.first(count));
    tokens = tokens.subspan(count);
    if (shard_->num_tokens() == shard_tokens_) finish_shard();
  }
}

void SplitWriter::finish_shard() {
  shard_->finish();
  // Read back for the hash: what the manifest promises is what the disk returned.
  ManifestShard entry{.file = shard_->path().filename().string(),
                      .bytes = shard_->size(),
                      .tokens = shard_->num_tokens(),
                      .hash = hash_of_file(shard_->path())};
  log::info("{}: {} tokens", entry.file, entry.tokens);
  written_.tokens += entry.tokens;
  written_.shards.push_back(std::move(entry));
  shard_.reset();
}

ManifestSplit SplitWriter::finish() {
  if (shard_) finish_shard();
  return std::exchange(written_, {});
}

}  // namespace motley
