#include "tensor/io.h"

#include <gtest/gtest.h>

#include <thread>

#include "tensor/error.h"
#include "tests/file_size_limit.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

std::string read(const io::File& file, std::uint64_t offset, std::size_t size) {
  std::string text(size, '\0');
  file.read_at(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

TEST(IoFile, ReadsWhatWasWritten) {
  const ScratchDirectory scratch;
  io::File out = io::File::create(scratch / "file");
  out.write("hello, world");
  out.write_at(7, std::as_bytes(std::span("W", 1)));
  out.write("!");
  out.sync();
  out.close();
  const io::File in = io::File::open(scratch / "file");
  EXPECT_EQ(in.size(), 13u);
  EXPECT_EQ(read(in, 0, 13), "hello, World!");
  EXPECT_EQ(read(in, 7, 5), "World");
  EXPECT_EQ(read(in, 13, 0), "");
}

TEST(IoFile, AShortReadNamesTheFileAndWhereItEnds) {
  const ScratchDirectory scratch;
  const io::File file = io::File::open(scratch.write("file", "12345"));
  const std::string message = message_of<IoError>([&] { read(file, 3, 4); });
  expect_mentions(message, (scratch / "file").string());
  expect_mentions(message, "ends at byte 5");
  expect_mentions(message, "4 bytes at 3");
  EXPECT_THROW(read(file, 1000, 1), IoError);
}

TEST(IoFile, AMissingFileIsNamedWithTheReason) {
  const ScratchDirectory scratch;
  const std::string message =
      message_of<IoError>([&] { io::File::open(scratch / "no" / "such file"); });
  expect_mentions(message, "cannot open " + (scratch / "no" / "such file").string());
  expect_mentions(message, "No such file or directory");
}

TEST(IoFile, ADirectoryIsNotAFile) {
  const ScratchDirectory scratch;
  expect_mentions(message_of<IoError>([&] { io::File::open(scratch.path()); }),
                  "is not a regular file");
}

TEST(IoFile, CreateLeavesAnExistingFileAsItIs) {
  const ScratchDirectory scratch;
  scratch.write("file", "precious");
  const auto before = scratch.contents();
  expect_mentions(message_of<IoError>([&] { io::File::create(scratch / "file"); }), "File exists");
  EXPECT_EQ(scratch.contents(), before);
}

TEST(IoFile, AppendContinuesAndCreates) {
  const ScratchDirectory scratch;
  for (const char* line : {"one\n", "two\n"}) {
    io::File file = io::File::append(scratch / "log");
    file.write(std::string_view(line));
    file.close();
  }
  EXPECT_EQ(io::read_text(scratch / "log"), "one\ntwo\n");
}

TEST(IoFile, AWriteThatDoesNotFitIsAnError) {
  const ScratchDirectory scratch;
  io::File file = io::File::create(scratch / "file");
  const FileSizeLimit limit(1000);
  file.write(std::string(1000, 'x'));
  const std::string message = message_of<IoError>([&] { file.write("y"); });
  expect_mentions(message, "cannot write to " + (scratch / "file").string());
  expect_mentions(message, "File too large");
}

TEST(IoFile, MovesItsDescriptor) {
  const ScratchDirectory scratch;
  io::File first = io::File::open(scratch.write("a", "A"));
  io::File second = io::File::open(scratch.write("b", "B"));
  first = std::move(second);
  const io::File third = std::move(first);
  EXPECT_EQ(read(third, 0, 1), "B");
  EXPECT_EQ(third.path(), scratch / "b");
}

TEST(IoText, RefusesAFileThatIsTooLarge) {
  const ScratchDirectory scratch;
  scratch.write("file", "12345");
  EXPECT_EQ(io::read_text(scratch / "file", 5), "12345");
  const std::string message = message_of<IoError>([&] { io::read_text(scratch / "file", 4); });
  expect_mentions(message, "5 bytes");
  expect_mentions(message, "at most 4");
}

TEST(IoText, IsReplacedInOneStep) {
  const ScratchDirectory scratch;
  io::write_text_atomically(scratch / "file", "first, and longer");
  io::write_text_atomically(scratch / "file", "second");
  EXPECT_EQ(io::read_text(scratch / "file"), "second");
  io::write_text_atomically(scratch / "empty", "");
  EXPECT_EQ(io::read_text(scratch / "empty"), "");
  EXPECT_EQ(io::list(scratch.path()), (std::vector<std::string>{"empty", "file"}));
}

TEST(IoText, AFailedReplacementChangesNothingAndLeavesNothing) {
  const ScratchDirectory scratch;
  scratch.write("file", "precious");
  io::create_directories(scratch / "directory" / "full");
  const auto before = scratch.contents();
  {
    const FileSizeLimit limit(1000);
    EXPECT_THROW(io::write_text_atomically(scratch / "file", std::string(1001, 'x')), IoError);
  }
  EXPECT_THROW(io::write_text_atomically(scratch / "directory", "x"), IoError);
  EXPECT_THROW(io::write_text_atomically(scratch / "file" / "x", "x"), IoError);
  EXPECT_EQ(scratch.contents(), before);
  EXPECT_EQ(io::list(scratch.path()), (std::vector<std::string>{"directory", "file"}));
}

TEST(IoText, WrittenByTwoThreadsIsOneOfTheTwo) {
  const ScratchDirectory scratch;
  const auto write_often = [&](char letter) {
    for (int i = 0; i < 20; ++i) {
      io::write_text_atomically(scratch / "file", std::string(100'000, letter));
    }
  };
  std::thread other(write_often, 'a');
  write_often('b');
  other.join();
  const std::string text = io::read_text(scratch / "file");
  EXPECT_EQ(text, std::string(100'000, text.at(0)));
  EXPECT_EQ(io::list(scratch.path()).size(), 1u);
}

TEST(IoDirectory, AMissingPathIsNoErrorToRemove) {
  const ScratchDirectory scratch;
  io::create_directories(scratch / "a" / "b");
  io::remove_all(scratch / "a");
  EXPECT_FALSE(io::exists(scratch / "a"));
  EXPECT_NO_THROW(io::remove_all(scratch / "a"));
}

TEST(IoDirectory, IsMadeWithThoseAboveIt) {
  const ScratchDirectory scratch;
  const io::Path path = scratch.path() / "a" / "b" / "c" / "";
  for (int i = 0; i < 2; ++i) {
    io::create_directories(path);
    EXPECT_TRUE(io::is_directory(path));
  }
  EXPECT_EQ(io::list(scratch / "a"), std::vector<std::string>{"b"});
}

TEST(IoDirectory, ExchangesItsNameWithAnother) {
  const ScratchDirectory scratch;
  for (const std::string name : {"a", "b"}) {
    io::create_directories(scratch / name);
    scratch.write(name + "/file", "of " + name);
  }
  io::exchange(scratch / "a", scratch / "b");
  EXPECT_EQ(io::read_text(scratch / "a" / "file"), "of b");
  EXPECT_EQ(io::read_text(scratch / "b" / "file"), "of a");
  EXPECT_EQ(io::list(scratch.path()), (std::vector<std::string>{"a", "b"}));
}

TEST(IoDirectory, RefusalsNameThePath) {
  const ScratchDirectory scratch;
  const io::Path file = scratch.write("file", "");
  expect_mentions(message_of<IoError>([&] { io::create_directories(file); }), file.string());
  const io::Path inside = scratch / "file" / "x";
  for (const auto& action : std::vector<std::function<void()>>{
           [&] { io::create_directories(inside); }, [&] { io::list(inside); },
           [&] { io::rename(inside, scratch / "y"); },
           [&] { io::exchange(inside, scratch.path()); }, [&] { io::sync_directory(inside); },
           [&] { io::free_space(inside); }, [&] { io::File::append(inside); }}) {
    expect_mentions(message_of<IoError>(action), inside.string());
  }
}

TEST(IoDirectory, FreeSpaceIsCounted) {
  const ScratchDirectory scratch;
  EXPECT_GT(io::free_space(scratch.path()), 0u);
}

}  // namespace
}  // namespace motley
