// What is left of checkpoints when the process, the power or the disk ends at any operation of a
// save: the one before or the new one, whole, and room for the next.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "tensor/error.h"
#include "tests/scratch_directory.h"
#include "tests/train/faulty_disk.h"
#include "train/checkpoint_directory.h"

namespace motley {
namespace {

using test::DiskFault;

/// As a checkpoint is made: a file that is written in place, one in one step, the manifest; then
/// those before it are removed but for `keep`.
void save(const io::Path& ckpt, std::uint64_t step, const std::string& text, std::uint64_t keep) {
  CheckpointDraft draft(ckpt, step);
  io::write_text_atomically(draft.path() / "state.json", text);
  io::File weights = io::File::create(draft.path() / "model.safetensors");
  weights.write("no length yet, ");
  weights.write(text);
  weights.write_at(0, std::as_bytes(std::span("a length here", 13)));
  weights.sync();
  weights.close();
  draft.commit();
  prune_checkpoints(ckpt, keep);
}

/// The text of the newest checkpoint, every byte of which is verified.
std::string newest(const io::Path& run) {
  const io::Path checkpoint = find_checkpoint(run);
  verify_checkpoint(checkpoint);
  return io::read_text(checkpoint / "state.json");
}

constexpr int exit_of_saved = 0;
constexpr int exit_of_refused = 1;
constexpr int exit_of_unharmed = 2;
constexpr int exit_of_surprise = 3;

/// What RENAME_EXCHANGE is to a case.
enum class Exchange { unused, needed, refused };

struct Case {
  const char* name;
  /// Before the save with the fault, of step 20. `run` exists, and nothing in it.
  std::function<void(const io::Path& run)> prepare;
  std::vector<std::string> before;  // what may be found until the save is done
  Exchange exchange = Exchange::unused;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"first", [](const io::Path&) {}, {"none"}},
      {"next", [](const io::Path& run) { save(run / "ckpt", 10, "old", 1); }, {"old"}},
      {"again",
       [](const io::Path& run) { save(run / "ckpt", 20, "old", 1); },
       {"old"},
       Exchange::needed},
      {"again_without_exchange",
       [](const io::Path& run) {
         save(run / "ckpt", 10, "older", 2);
         save(run / "ckpt", 20, "old", 2);
       },
       {"old", "older"},
       Exchange::refused},
      {"after_a_crash",
       [](const io::Path& run) {
         save(run / "ckpt", 10, "old", 1);
         for (const char* left : {"000000020.tmp", "000000020.tmp.swap", "000000005.trash"}) {
           io::create_directories(run / "ckpt" / left);
           io::write_text_atomically(run / "ckpt" / left / "half", "written");
         }
       },
       {"old"}},
  };
  return all;
}

struct NamedFault {
  DiskFault fault;
  const char* name;
};

void PrintTo(const NamedFault& f, std::ostream* out) {
  *out << f.name;
}

constexpr NamedFault faults[] = {
    {DiskFault::killed, "killed"},       {DiskFault::power_lost, "power_lost"},
    {DiskFault::data_lost, "data_lost"}, {DiskFault::names_lost, "names_lost"},
    {DiskFault::full, "full"},           {DiskFault::unreachable, "unreachable"},
    {DiskFault::hiccup, "hiccup"}};

class CheckpointCrash : public testing::TestWithParam<std::tuple<Case, NamedFault>> {};

/// Saves "new" as step 20 in a process of its own, on a disk that fails at operation `at`. Returns
/// how the process ended: one of the exit codes above or of faulty_disk.h, or exit_of_unharmed.
int save_in_child(const io::Path& run, const Case& c, DiskFault fault, std::size_t at) {
  const pid_t child = ::fork();
  if (child == 0) {
    int code = exit_of_saved;
    if (c.exchange == Exchange::refused) test::refuse_exchange();
    test::break_disk(fault, at);
    try {
      save(run / "ckpt", 20, "new", 1);
      test::promise();
      std::error_code ignored;  // one operation more: there the power may go as well
      std::filesystem::create_directory(run / "last", ignored);
    } catch (const IoError&) {
      code = exit_of_refused;
    } catch (const std::exception&) {
      code = exit_of_surprise;
    }
    ::_exit(test::mend_disk() < at ? exit_of_unharmed : code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// The text of the newest checkpoint, or "none".
std::string find_newest(const io::Path& run) {
  try {
    return newest(run);
  } catch (const CheckpointError& error) {
    EXPECT_EQ(error.code(), "ckpt.none") << error.what();
    return "none";
  }
}

bool can_exchange() {
  const ScratchDirectory scratch;
  for (const char* name : {"a", "b"}) io::create_directories(scratch / name);
  return ::renameat2(AT_FDCWD, (scratch / "a").c_str(), AT_FDCWD, (scratch / "b").c_str(),
                     RENAME_EXCHANGE) == 0;
}

TEST_P(CheckpointCrash, LeavesTheOldOrTheNewAndRoomForTheNext) {
  const auto& [c, fault] = GetParam();
  if (c.exchange == Exchange::needed && !can_exchange())
    GTEST_SKIP() << "the file system of temporary files cannot exchange names";
  std::size_t at = 0;
  int ended = exit_of_saved;
  while (ended != exit_of_unharmed) {
    SCOPED_TRACE(fmt::format("at operation {}", ++at));
    const ScratchDirectory scratch;
    const io::Path run = scratch / "run";
    io::create_directories(run);
    c.prepare(run);
    ended = save_in_child(run, c, fault.fault, at);
    const std::string found = find_newest(run);
    if (ended == exit_of_refused || ended == test::exit_of_killed) {
      const bool was_there = std::ranges::find(c.before, found) != c.before.end();
      EXPECT_TRUE(found == "new" || was_there) << found;
    } else {
      ASSERT_TRUE(ended == exit_of_saved || ended == exit_of_unharmed ||
                  ended == test::exit_of_killed_later)
          << ended;
      EXPECT_EQ(found, "new") << "it was said to be saved";
    }
    save(run / "ckpt", 30, "next", 1);
    EXPECT_EQ(newest(run), "next");
    EXPECT_EQ(io::list(run / "ckpt"), std::vector<std::string>{"000000030"});
  }
  EXPECT_GT(at, 20u) << "so few operations are no save";
}

std::string name_of(const testing::TestParamInfo<CheckpointCrash::ParamType>& info) {
  return fmt::format("{}_{}", std::get<0>(info.param).name, std::get<1>(info.param).name);
}

INSTANTIATE_TEST_SUITE_P(Saves, CheckpointCrash,
                         testing::Combine(testing::ValuesIn(cases()), testing::ValuesIn(faults)),
                         name_of);

/// What a disk that fails does to those who do not ask it to keep anything: else the tests above
/// would prove nothing.
class FaultyDisk : public testing::Test {
 protected:
  /// Runs `action` in a process of its own, whose power goes at the operation after it.
  void lose_after(DiskFault fault, std::size_t operations, const std::function<void()>& action) {
    const pid_t child = ::fork();
    if (child == 0) {
      test::break_disk(fault, operations + 1);
      action();
      io::create_directories(scratch_ / "last");
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), test::exit_of_killed);
  }

  ScratchDirectory scratch_;
};

TEST_F(FaultyDisk, LosesDataThatWasNotForced) {
  const auto write = [&] {
    io::File file = io::File::create(scratch_ / "file");
    file.write("text");
  };
  lose_after(DiskFault::data_lost, 2, write);
  EXPECT_EQ(io::read_text(scratch_ / "file"), "");
  io::remove_all(scratch_ / "file");
  lose_after(DiskFault::killed, 2, write);
  EXPECT_EQ(io::read_text(scratch_ / "file"), "text");
  io::remove_all(scratch_ / "file");
  lose_after(DiskFault::power_lost, 2, write);
  EXPECT_TRUE(io::list(scratch_.path()).empty());
}

TEST_F(FaultyDisk, LosesNamesThatWereNotForced) {
  std::filesystem::create_directory(scratch_ / "a");
  const auto rename = [&] {
    std::filesystem::rename(scratch_ / "a", scratch_ / "b");
    std::filesystem::create_directory(scratch_ / "b" / "c");
  };
  lose_after(DiskFault::names_lost, 2, rename);
  EXPECT_EQ(io::list(scratch_.path()), std::vector<std::string>{"a"});
  EXPECT_TRUE(io::list(scratch_ / "a").empty());
  lose_after(DiskFault::names_lost, 3, [&] {
    rename();
    io::sync_directory(scratch_.path());
  });
  EXPECT_EQ(io::list(scratch_.path()), std::vector<std::string>{"b"});
  EXPECT_TRUE(io::list(scratch_ / "b").empty());
}

}  // namespace
}  // namespace motley
