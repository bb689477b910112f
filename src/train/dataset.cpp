#include "train/dataset.h"

#include <algorithm>

#include "tensor/error.h"

namespace motley {
namespace {

void check_against_manifest(const ShardReader& shard, const ManifestShard& entry, Verify verify) {
  const std::string path = shard.path().string();
  require<DataError>(
      shard.size() == entry.bytes && shard.num_tokens() == entry.tokens, "data.manifest",
      "{}: {} bytes with {} tokens, but the manifest says {} bytes with {}; the file was "
      "replaced: prepare the data again",
      path, shard.size(), shard.num_tokens(), entry.bytes, entry.tokens);
  if (verify == Verify::sizes) return;
  const std::string hash = hash_of_file(shard.path());
  require<DataError>(
      hash == entry.hash, "data.hash",
      "{}: the contents hash to {} but the manifest says {}; the file was damaged or changed: "
      "copy it again or prepare the data again",
      path, hash, entry.hash);
}

}  // namespace

Dataset Dataset::open(const io::Path& path, Split split, Verify verify) {
  require<DataError>(
      io::exists(path), "data.missing",
      "{} does not exist here; make it with 'motley data prepare' or copy it to this host",
      path.string());
  if (io::is_directory(path)) return open_directory(path, split, verify);
  return open_shards(std::span(&path, 1));
}

Dataset Dataset::open_shards(std::span<const io::Path> paths) {
  require<DataError>(!paths.empty(), "data.empty", "no token shard was given; name at least one");
  Dataset dataset;
  for (const io::Path& path : paths) dataset.add(path);
  return dataset;
}

Dataset Dataset::open_directory(const io::Path& directory, Split split, Verify verify) {
  Dataset dataset;
  dataset.split_ = split;
  dataset.manifest_ = DataManifest::read(directory);
  const ManifestSplit& part = dataset.manifest_->split(split);
  require<DataError>(!part.shards.empty(), "data.empty",
                     "{}: the data have no '{}' split; prepare them again{}", directory.string(),
                     name_of(split), split == Split::validation ? " with --val 5%" : "");
  for (const ManifestShard& entry : part.shards) {
    const io::Path path = directory / entry.file;
    require<DataError>(io::exists(path), "data.missing",
                       "{} is missing, though the manifest lists it; copy the whole data directory",
                       path.string());
    dataset.add(path);
    check_against_manifest(dataset.shards_.back(), entry, verify);
  }
  dataset.max_vocab_size_ = dataset.manifest_->vocab_size;
  return dataset;
}

void Dataset::add(const io::Path& path) {
  shards_.emplace_back(path);
  const ShardReader& shard = shards_.back();
  starts_.push_back(starts_.back() + shard.num_tokens());
}

std::uint64_t Dataset::num_samples(std::size_t T) const {
  require<DataError>(T > 0, "data.range", "samples of 0 tokens were asked for; T is at least 1");
  return num_tokens() == 0 ? 0 : (num_tokens() - 1) / T;
}

std::optional<std::size_t> Dataset::vocab_size() const {
  if (!manifest_) return std::nullopt;
  return manifest_->vocab_size;
}

std::optional<std::uint64_t> Dataset::text_bytes() const {
  if (!manifest_) return std::nullopt;
  return manifest_->split(split_).text_bytes;
}

void Dataset::limit_vocabulary(std::size_t vocab_size) {
  require<DataError>(
      !manifest_ || manifest_->vocab_size <= vocab_size, "data.vocabulary",
      "{}: made for a vocabulary of {} tokens, but the model has {}; use a larger model "
      "vocabulary or prepare the data with the model's tokenizer",
      shards_.front().path().parent_path().string(), max_vocab_size_, vocab_size);
  max_vocab_size_ = std::min(max_vocab_size_, vocab_size);
}

void Dataset::read(std::uint64_t first, std::span<std::uint32_t> tokens) const {
  require<DataError>(first <= num_tokens() && tokens.size() <= num_tokens() - first, "data.range",
                     "{}: tokens [{}, +{}) were asked for, but the data have {}",
                     shards_.front().path().string(), first, tokens.size(), num_tokens());
  // The shard that holds `first`: the last one that starts at or before it.
  auto shard = static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), first) -
                                        starts_.begin()) -
               1;
  while (!tokens.empty()) {
    const std::uint64_t offset = first - starts_[shard];
    const auto count = static_cast<std::size_t>(
        std::min<std::uint64_t>(tokens.size(), shards_[shard].num_tokens() - offset));
    shards_[shard].read(offset, tokens.first(count));
    check_token_range(shards_[shard].path(), offset, tokens.first(count), max_vocab_size_);
    tokens = tokens.subspan(count);
    first += count;
    ++shard;
  }
}

void Dataset::read_sample(std::uint64_t index, std::span<std::uint32_t> tokens) const {
  require<DataError>(tokens.size() >= 2, "data.range",
                     "a sample of {} tokens was asked for; it has T + 1, and T is at least 1",
                     tokens.size());
  const std::size_t T = tokens.size() - 1;
  require<DataError>(index < num_samples(T), "data.range",
                     "{}: sample {} of {} tokens was asked for, but the data have {} of them",
                     shards_.front().path().string(), index, T, num_samples(T));
  read(index * T, tokens);
}

}  // namespace motley
