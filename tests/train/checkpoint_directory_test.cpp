#include "train/checkpoint_directory.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tensor/error.h"
#include "tensor/hash.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

using Steps = std::vector<std::uint64_t>;
using Names = std::vector<std::string>;

/// A checkpoint of one small file.
io::Path make_checkpoint(const io::Path& ckpt, std::uint64_t step,
                         const std::string& text = "text") {
  CheckpointDraft draft(ckpt, step);
  io::write_text_atomically(draft.path() / "state.json", text);
  return draft.commit();
}

TEST(CheckpointDraft, AppearsWhenCommitted) {
  const ScratchDirectory scratch;
  CheckpointDraft draft(scratch.path(), 1200);
  EXPECT_EQ(draft.path(), scratch / "000001200.tmp");
  io::write_text_atomically(draft.path() / "state.json", "text");
  EXPECT_TRUE(checkpoint_steps(scratch.path()).empty());
  EXPECT_EQ(draft.commit(), scratch / "000001200");
  EXPECT_EQ(io::list(scratch.path()), Names{"000001200"});
  verify_checkpoint(scratch / "000001200");
}

TEST(CheckpointDraft, ReplacesWhatKilledRunsLeft) {
  const ScratchDirectory scratch;
  for (const char* left : {"000000007.tmp", "000000007.trash"}) {
    io::create_directories(scratch / left);
    scratch.write(std::string(left) + "/half", "written");
  }
  scratch.write("000000006.tmp.lock", "");
  EXPECT_THROW(find_checkpoint(scratch.path()), CheckpointError);
  make_checkpoint(scratch.path(), 7);
  make_checkpoint(scratch.path(), 7, "newer");  // over one of the same step
  EXPECT_EQ(io::read_text(scratch / "000000007/state.json"), "newer");
  EXPECT_EQ(io::list(scratch / "000000007"), (Names{"MANIFEST.json", "state.json"}));
  prune_checkpoints(scratch.path(), 0);
  EXPECT_EQ(io::list(scratch.path()), Names{"000000007"});
}

TEST(CheckpointSteps, ListsCheckpointsOnly) {
  const ScratchDirectory scratch;
  for (const std::uint64_t step : {12u, 3u, 1000000000u}) make_checkpoint(scratch.path(), step);
  for (const char* other : {"12", "0000000012", "000000013.tmp", "000000014.trash", "00000001x",
                            "99999999999999999999", "notes"}) {
    io::create_directories(scratch / other);
  }
  scratch.write("000000099", "a file");
  EXPECT_EQ(checkpoint_steps(scratch.path()), (Steps{3, 12, 1000000000}));
  EXPECT_TRUE(checkpoint_steps(scratch / "none").empty());
}

TEST(FindCheckpoint, TakesTheNewestOfARun) {
  const ScratchDirectory scratch;
  for (const std::uint64_t step : {3u, 12u, 7u}) make_checkpoint(scratch / "ckpt", step);
  EXPECT_EQ(find_checkpoint(scratch.path()), scratch / "ckpt/000000012");
  EXPECT_EQ(find_checkpoint(scratch / "ckpt"), scratch / "ckpt/000000012");
  EXPECT_EQ(find_checkpoint(scratch / "ckpt/000000007"), scratch / "ckpt/000000007");
  for (const char* none : {"ckpt/000000007/x", "none"}) {
    expect_mentions(message_of<CheckpointError>([&] { find_checkpoint(scratch / none); }), none);
  }
}

TEST(PruneCheckpoints, KeepsTheNewest) {
  const ScratchDirectory scratch;
  for (const std::uint64_t step : {1u, 2u, 3u, 4u, 5u}) make_checkpoint(scratch.path(), step);
  io::create_directories(scratch / "000000009.tmp");
  io::create_directories(scratch / "000000001.trash");
  io::create_directories(scratch / "mine.tmp");
  prune_checkpoints(scratch.path(), 0);
  EXPECT_EQ(checkpoint_steps(scratch.path()), (Steps{1, 2, 3, 4, 5}));
  prune_checkpoints(scratch.path(), 9);
  EXPECT_EQ(checkpoint_steps(scratch.path()), (Steps{1, 2, 3, 4, 5}));
  prune_checkpoints(scratch.path(), 2);
  EXPECT_EQ(io::list(scratch.path()), (Names{"000000004", "000000005", "mine.tmp"}));
  verify_checkpoint(scratch / "000000004");
}

/// Replaces the manifest's list of files, with a right hash over it.
void write_manifest(const io::Path& checkpoint, const nlohmann::json& files) {
  nlohmann::json root{{"format", 1}, {"files", files}};
  root["xxh3_128"] = hash_of(root.dump());
  io::write_text_atomically(checkpoint / "MANIFEST.json", root.dump());
}

TEST(Manifest, CannotLeadOutOfTheCheckpoint) {
  const ScratchDirectory scratch;
  const io::Path checkpoint = make_checkpoint(scratch.path(), 1);
  for (const char* name : {"../state.json", "/etc/passwd", "a/b", "..", "", ".hidden"}) {
    write_manifest(checkpoint, {{{"name", name}, {"bytes", 4}, {"xxh3_128", hash_of("text")}}});
    const std::string message = message_of<CheckpointError>([&] { verify_checkpoint(checkpoint); });
    expect_mentions(message, "MANIFEST.json");
    expect_mentions(message, "files[0].name");
  }
}

TEST(Manifest, RefusesWhatItDoesNotKnow) {
  const ScratchDirectory scratch;
  const io::Path checkpoint = make_checkpoint(scratch.path(), 1);
  scratch.write("000000001/MANIFEST.json", R"({"format": 2})");
  expect_mentions(message_of<CheckpointError>([&] { verify_checkpoint(checkpoint); }), "format");
  write_manifest(checkpoint, {{{"name", "state.json"}, {"bytes", -4}, {"xxh3_128", ""}}});
  expect_mentions(message_of<CheckpointError>([&] { verify_checkpoint(checkpoint); }), "bytes");
}

TEST(VerifyCheckpoint, TellsWhatIsWrongWithAFile) {
  const ScratchDirectory scratch;
  const io::Path checkpoint = make_checkpoint(scratch.path(), 1);
  const auto message = [&] {
    const std::string all = message_of<CheckpointError>([&] { verify_checkpoint(checkpoint); });
    EXPECT_EQ(
        message_of<CheckpointError>([&] { verify_checkpoint_file(checkpoint, "state.json"); }),
        all);
    expect_mentions(all, "000000001/state.json");
    return all;
  };
  scratch.write("000000001/state.json", "longer text");
  expect_mentions(message(), "has 11 bytes, its manifest says 4");
  scratch.write("000000001/state.json", "Text");
  expect_mentions(message(), "is damaged");
  io::remove_all(checkpoint / "state.json");
  expect_mentions(message(), "is missing");
  expect_mentions(message_of<CheckpointError>([&] { verify_checkpoint_file(checkpoint, "other"); }),
                  "other");
}

}  // namespace
}  // namespace motley
