#include "tensor/draft_directory.h"

#include <gtest/gtest.h>

#include "tensor/error.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

TEST(DraftDirectory, AppearsOnlyWhenCommitted) {
  const ScratchDirectory scratch;
  DraftDirectory draft(scratch.path() / "a" / "b", ".tmp");
  EXPECT_EQ(draft.path(), scratch.path() / "a" / "b.tmp");
  io::write_text_atomically(draft.path() / "file", "text");
  EXPECT_FALSE(io::exists(draft.target()));
  draft.commit();
  EXPECT_EQ(io::read_text(scratch.path() / "a" / "b" / "file"), "text");
  EXPECT_FALSE(io::exists(draft.path()));
}

TEST(DraftDirectory, IsRemovedWhenNotCommitted) {
  const ScratchDirectory scratch;
  {
    const DraftDirectory draft(scratch / "a", ".tmp");
    io::write_text_atomically(draft.path() / "file", "text");
  }
  EXPECT_TRUE(io::list(scratch.path()).empty());
}

TEST(DraftDirectory, ReplacesWhatAKilledProcessLeft) {
  const ScratchDirectory scratch;
  io::create_directories(scratch / "a.tmp");
  scratch.write("a.tmp/old", "text");
  DraftDirectory draft(scratch / "a", ".tmp");
  EXPECT_TRUE(io::list(draft.path()).empty());
}

TEST(DraftDirectory, KeepsAnotherFromUsingIt) {
  const ScratchDirectory scratch;
  DraftDirectory draft(scratch / "a", ".tmp");
  io::write_text_atomically(draft.path() / "file", "text");
  const std::string text =
      message_of<IoError>([&] { const DraftDirectory other(scratch / "a", ".tmp"); });
  expect_mentions(text, "is being written by process");
  draft.commit();
  EXPECT_EQ(io::read_text(scratch / "a" / "file"), "text");
  const DraftDirectory later(scratch / "a", ".tmp");
}

TEST(DraftDirectory, ReplacesATargetWhenAskedTo) {
  const ScratchDirectory scratch;
  io::create_directories(scratch / "a");
  scratch.write("a/old", "text");
  DraftDirectory draft(scratch / "a", ".tmp");
  io::write_text_atomically(draft.path() / "new", "text");
  draft.replace();
  EXPECT_EQ(io::list(scratch.path()), std::vector<std::string>{"a"});
  EXPECT_EQ(io::list(scratch / "a"), std::vector<std::string>{"new"});
}

TEST(DraftDirectory, StandsBesideATargetWithATrailingSlash) {
  const ScratchDirectory scratch;
  DraftDirectory draft(scratch.path() / "a" / "", ".tmp");
  EXPECT_EQ(draft.path(), scratch / "a.tmp");
  draft.commit();
  EXPECT_EQ(io::list(scratch.path()), std::vector<std::string>{"a"});
}

TEST(DraftDirectory, NeverReplacesATarget) {
  const ScratchDirectory scratch;
  DraftDirectory draft(scratch / "a", ".tmp");
  scratch.write("a", "a file of somebody's");
  expect_mentions(message_of<IoError>([&] { draft.commit(); }), "exists");
  EXPECT_EQ(io::read_text(scratch / "a"), "a file of somebody's");
}

}  // namespace
}  // namespace motley
