// A directory of a test's own, gone with it; and looking at what is in it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <string>
#include <string_view>

#include "tensor/io.h"

namespace motley {

class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "motley-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "cannot create " << name;
    path_ = name;
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory() {
    std::error_code ignored;  // a directory that cannot be removed fails no test
    std::filesystem::remove_all(path_, ignored);
  }

  const io::Path& path() const { return path_; }
  io::Path operator/(std::string_view name) const { return path_ / name; }

  /// Writes a file, replacing one that is there.
  io::Path write(std::string_view name, std::string_view contents) const {
    io::write_text_atomically(path_ / name, contents);
    return path_ / name;
  }

  /// Every file below the directory with its contents: equal before and after, nothing was changed.
  std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
      if (entry.is_regular_file()) files[entry.path().string()] = io::read_text(entry.path());
    }
    return files;
  }

 private:
  io::Path path_;
};

/// Runs `action`, which must throw an E; returns its message.
template <class E, class Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

inline void expect_mentions(const std::string& message, std::string_view part) {
  EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' is not in: " << message;
}

}  // namespace motley
