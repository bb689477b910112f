#include "tensor/log.h"

#include <gtest/gtest.h>

#include <thread>

#include "tensor/error.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

/// What reaches a log file that is open while `action` runs, without times.
template <class Action>
std::string logged(const Action& action) {
  const ScratchDirectory scratch;
  log::open_file(scratch / "log");
  action();
  log::flush();
  std::string text;
  std::string rest = io::read_text(scratch / "log");
  for (std::size_t end = 0; (end = rest.find('\n')) != std::string::npos;) {
    const std::string line = rest.substr(0, end + 1);
    const bool has_time = line.size() > 24 && line[4] == '-' && line[10] == 'T';
    text += has_time ? line.substr(24) : line;
    rest.erase(0, end + 1);
  }
  return text + rest;
}

TEST(Log, EveryLineReachesTheFileWithItsLevel) {
  log::set_console_level(log::Level::error);
  EXPECT_EQ(logged([] {
              log::debug("one {}", 1);
              log::info("two");
              log::warn("three");
            }),
            "debug one 1\ninfo two\nwarning three\n");
}

TEST(Log, LinesCarryTheRankOfSeveral) {
  EXPECT_EQ(logged([] {
              log::set_rank(2, 4);
              log::info("x");
              log::set_rank(0, 1);
              log::info("y");
            }),
            "info [rank 2/4] x\ninfo y\n");
}

TEST(Log, RanksThatAreThreadsShareALog) {
  log::set_console_level(log::Level::error);
  EXPECT_EQ(logged([] {
              std::thread([] {
                log::set_thread_rank(2, 4);
                log::info("dropped");
                log::warn("x");
              }).join();
              std::thread([] {
                log::set_thread_rank(0, 4);
                log::info("y");
              }).join();
              log::info("z");
            }),
            "warning [rank 2/4] x\ninfo y\ninfo z\n");
}

TEST(Log, ControlCharactersAreShownAndBracesAreText) {
  log::set_console_level(log::Level::error);
  EXPECT_EQ(logged([] { log::info("{}", "a\x1b[31mb\rc\x7f {} {0"); }),
            "info a\\x1b[31mb\\x0dc\\x7f {} {0\n");
  EXPECT_EQ(logged([] { log::write(log::Level::info, "gr\xc3\xbc\xc3\x9f"); }),
            "info gr\xc3\xbc\xc3\x9f\n");
}

TEST(Log, LinesWithinATextAreIndentedSoThatNoneIsForged) {
  log::set_console_level(log::Level::error);
  EXPECT_EQ(logged([] { log::warn("no shard '{}'", "x\n2026-01-01T00:00:00.000 info stop"); }),
            "warning no shard 'x\n  2026-01-01T00:00:00.000 info stop'\n");
  EXPECT_EQ(logged([] { log::warn("too slow\n  fix: wait"); }), "warning too slow\n  fix: wait\n");
}

TEST(Log, AFileThatCannotBeOpenedIsNamed) {
  const ScratchDirectory scratch;
  const io::Path path = scratch.write("file", "") / "log";
  expect_mentions(message_of<IoError>([&] { log::open_file(path); }), path.string());
}

/// Last, for the broken file stays a place where lines go.
TEST(Log, TellsOnceThatItCannotBeWritten) {
  log::set_console_level(log::Level::error);
  testing::internal::CaptureStderr();
  log::open_file("/dev/full");
  for (int i = 0; i < 3; ++i) {
    log::warn("a line");
    log::flush();
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.rfind("the log cannot be written", 0), 0u) << text;
  EXPECT_NE(text.find("/dev/full"), std::string::npos) << text;
  EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
}

}  // namespace
}  // namespace motley
