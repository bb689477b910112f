// Every file operation of the project. Each throws IoError with the path, the operation and the
// system's reason; nothing here returns an error code, and no short read or write goes unnoticed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace motley::io {

using Path = std::filesystem::path;

/// An open file. Closed by the destructor, which can only log a failure: call close() after
/// writing.
class File {
 public:
  /// Opens an existing regular file for reading.
  static File open(const Path& path);
  /// Creates a file for writing; one that exists is an error.
  static File create(const Path& path);
  /// Opens for appending, creating the file when it is missing.
  static File append(const Path& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File();

  std::uint64_t size() const;
  /// Reads exactly bytes.size() bytes at `offset`; a file that ends before is an IoError.
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const;
  /// Writes all bytes at the current end.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Overwrites bytes that were written before, without moving the end.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Forces the contents to the disk (fsync).
  void sync();
  void close();
  const Path& path() const { return path_; }

 private:
  File(int descriptor, Path path) : descriptor_(descriptor), path_(std::move(path)) {}
  int descriptor_ = -1;
  Path path_;
};

/// The whole of a text file; more than max_bytes is an IoError.
std::string read_text(const Path& path, std::uint64_t max_bytes = std::uint64_t{1} << 30);
/// A file of /proc or /sys, whose size the system does not tell. At most 64 KiB are read.
std::string read_system_text(const Path& path);
/// Replaces `path` in one step by what `write` puts into a file: temporary file beside it, fsync,
/// rename, fsync of the directory.
void write_atomically(const Path& path, const std::function<void(File& file)>& write);
/// The same with a text.
void write_text_atomically(const Path& path, std::string_view text);

bool exists(const Path& path);
bool is_directory(const Path& path);
/// Makes a directory and those above it that are missing, and forces their names to the disk.
void create_directories(const Path& path);
/// Creates a directory that only this user can change, or accepts one that is there already. Throws
/// IoError when another user owns it or can write to it: what it holds could not be trusted.
void create_private_directory(const Path& path);
/// Whether files can be created in this directory.
bool is_writable_directory(const Path& path);
/// Renames and forces the change to the disk.
void rename(const Path& from, const Path& to);
/// Exchanges two names and forces the change to the disk, in one step if the file system can (with
/// RENAME_EXCHANGE, see rename(2)). Where it cannot, as NFS, it takes three, through `a`.swap,
/// between which nothing is called `b`. Both are in one directory.
void exchange(const Path& a, const Path& b);
/// Forces a directory's entries to the disk.
void sync_directory(const Path& path);
/// Removes a file, or a directory with all that is in it; a missing path is not an error.
void remove_all(const Path& path);
/// Removes a directory that has nothing in it, and leaves any other path as it is.
void remove_if_empty(const Path& directory);
/// Names in a directory, sorted.
std::vector<std::string> list(const Path& directory);
/// Bytes that can still be written to the file system that holds `path`.
std::uint64_t free_space(const Path& path);

/// A span of any trivially copyable elements as bytes.
template <class T>
std::span<const std::byte> bytes_of(std::span<const T> values) {
  return std::as_bytes(values);
}
template <class T>
std::span<std::byte> writable_bytes_of(std::span<T> values) {
  return std::as_writable_bytes(values);
}

}  // namespace motley::io
