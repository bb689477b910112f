#include "train/checkpoint_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tensor/error.h"
#include "tensor/hash.h"
#include "tensor/json.h"

namespace motley {
namespace {

constexpr std::size_t name_digits = 9;
constexpr std::size_t manifest_format = 1;
constexpr const char* manifest_name = "MANIFEST.json";

bool is_checkpoint_name(const std::string& name) {
  return name.size() >= name_digits && name.size() <= 19 &&
         name.find_first_not_of("0123456789") == std::string::npos;
}

void write_manifest(const io::Path& directory) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (const std::string& name : io::list(directory)) {
    files.push_back({{"name", name},
                     {"bytes", io::File::open(directory / name).size()},
                     {"xxh3_128", hash_of_file(directory / name)}});
  }
  const nlohmann::ordered_json root{{"format", manifest_format}, {"files", files}};
  io::write_text_atomically(directory / manifest_name, root.dump(2) + "\n");
}

void verify_file(const io::Path& checkpoint, const CheckpointFile& file) {
  const io::Path path = checkpoint / file.name;
  require<CheckpointError>(io::exists(path), "ckpt.missing",
                           "{} is missing; resume from another checkpoint", path.string());
  const std::uint64_t bytes = io::File::open(path).size();
  require<CheckpointError>(bytes == file.bytes, "ckpt.corrupt",
                           "{} has {} bytes, its manifest says {}; resume from another checkpoint",
                           path.string(), bytes, file.bytes);
  const std::string hash = hash_of_file(path);
  require<CheckpointError>(
      hash == file.hash, "ckpt.corrupt",
      "{} is damaged: its hash is {}, its manifest says {}; resume from another checkpoint",
      path.string(), hash, file.hash);
}

}  // namespace

std::string checkpoint_name(std::uint64_t step) {
  return fmt::format("{:0{}}", step, name_digits);
}

CheckpointDraft::CheckpointDraft(const io::Path& ckpt, std::uint64_t step)
    : ckpt_(ckpt), step_(step), path_(ckpt / (checkpoint_name(step) + ".tmp")) {
  io::remove_all(path_);
  io::create_directories(path_);
}

io::Path CheckpointDraft::commit() {
  write_manifest(path_);
  const io::Path final_path = ckpt_ / checkpoint_name(step_);
  const io::Path trash = final_path.string() + ".trash";
  if (io::exists(final_path)) io::rename(final_path, trash);
  io::rename(path_, final_path);
  io::remove_all(trash);
  return final_path;
}

std::vector<std::uint64_t> checkpoint_steps(const io::Path& ckpt) {
  std::vector<std::uint64_t> steps;
  if (!io::is_directory(ckpt)) return steps;
  for (const std::string& name : io::list(ckpt)) {
    if (is_checkpoint_name(name)) steps.push_back(std::stoull(name));
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

io::Path find_checkpoint(const io::Path& path) {
  if (io::exists(path / manifest_name)) return path;
  for (const io::Path& ckpt : {path / "ckpt", path}) {
    const std::vector<std::uint64_t> steps = checkpoint_steps(ckpt);
    if (!steps.empty()) return ckpt / checkpoint_name(steps.back());
  }
  fail<CheckpointError>("ckpt.none",
                        "there is no checkpoint in {}; give a run directory or a checkpoint",
                        path.string());
}

std::vector<CheckpointFile> read_manifest(const io::Path& checkpoint) {
  const io::Path path = checkpoint / manifest_name;
  require<CheckpointError>(io::exists(path), "ckpt.missing",
                           "{} is missing; {} is no complete checkpoint", path.string(),
                           checkpoint.string());
  const json::Value root = json::read(path, json::Kind::checkpoint);
  if (root.get("format").as_size() != manifest_format) {
    root.get("format").refuse(fmt::format("must be {}", manifest_format));
  }
  const json::Value list = root.get("files");
  std::vector<CheckpointFile> files;
  for (std::size_t i = 0; i < list.length(); ++i) {
    const json::Value file = list.at(i);
    const std::string& name = file.get("name").as_string();
    if (name.empty() || name.find('/') != std::string::npos || name[0] == '.') {
      file.get("name").refuse("must be the plain name of a file in the checkpoint");
    }
    files.push_back({name, file.get("bytes").as_size(), file.get("xxh3_128").as_string()});
  }
  return files;
}

void verify_checkpoint(const io::Path& checkpoint) {
  for (const CheckpointFile& file : read_manifest(checkpoint)) verify_file(checkpoint, file);
}

void prune_checkpoints(const io::Path& ckpt, std::uint64_t keep) {
  const std::vector<std::uint64_t> steps = checkpoint_steps(ckpt);
  if (keep == 0) return;
  for (std::size_t i = 0; i + keep < steps.size(); ++i) {
    const io::Path victim = ckpt / checkpoint_name(steps[i]);
    const io::Path trash = victim.string() + ".trash";
    io::rename(victim, trash);
    io::remove_all(trash);
  }
}

}  // namespace motley
