// Weight files in the safetensors format: an 8-byte header length, a JSON header, the tensors'
// bytes without gaps (huggingface/safetensors, safetensors/src/tensor.rs). The reader believes
// nothing it has not checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/io.h"
#include "tensor/shape.h"

namespace motley {

/// One tensor of a file.
struct SafetensorsEntry {
  std::string name;
  std::string dtype_name;  // as in the file: "F32", "BOOL", ...
  /// None for a type of the format that this program cannot hold; such tensors can be listed, not
  /// read.
  std::optional<Dtype> dtype;
  std::vector<std::size_t> shape;  // up to 8 extents
  std::uint64_t offset = 0;        // of the first byte, in the file
  std::uint64_t bytes = 0;
};

/// Reads tensors from one file. Reading is const and may happen on several threads at once.
class SafetensorsReader {
 public:
  using Metadata = std::map<std::string, std::string>;

  /// Opens a file and checks its whole header. Throws CheckpointError naming file, tensor and
  /// reason; IoError when the file cannot be read.
  static SafetensorsReader open(const io::Path& path);

  /// All tensors in the order of their bytes.
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }
  /// The entry called `name`; null when there is none.
  const SafetensorsEntry* find(std::string_view name) const;
  /// The entry called `name`. Throws CheckpointError when there is none.
  const SafetensorsEntry& get(std::string_view name) const;
  const Metadata& metadata() const { return metadata_; }
  const io::Path& path() const { return file_.path(); }

  /// The entry's extents as a Shape. Throws CheckpointError when there are more than four.
  Shape shape(const SafetensorsEntry& entry) const;
  /// Reads bytes.size() bytes of a tensor from its byte `begin` on. Throws CheckpointError for a
  /// tensor without a dtype, ShapeError when the range leaves the tensor.
  void read(const SafetensorsEntry& entry, std::span<std::byte> bytes,
            std::uint64_t begin = 0) const;
  /// Reads values.size() elements of an F32, F16 or BF16 tensor from element `first` on, as f32.
  /// Throws as read() does, and CheckpointError when the tensor does not hold real numbers.
  void read_f32(const SafetensorsEntry& entry, std::span<float> values,
                std::uint64_t first = 0) const;

 private:
  explicit SafetensorsReader(io::File file) : file_(std::move(file)) {}

  io::File file_;
  std::vector<SafetensorsEntry> entries_;
  std::map<std::string, std::size_t, std::less<>> index_;
  Metadata metadata_;
};

/// What a writer is told of a tensor before any byte is written.
struct SafetensorsTensor {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<std::size_t> shape;
};

/// Writes one new file without holding it in memory: all tensors are declared first, then their
/// bytes may come in any order and in any pieces. Without finish() the file is incomplete and
/// readers refuse it.
class SafetensorsWriter {
 public:
  using Metadata = SafetensorsReader::Metadata;

  /// Creates the file and writes the header; tensors are laid out by dtype, wide ones first, then
  /// by name. "format": "pt" is added to the metadata, since loaders insist on it. Throws
  /// CheckpointError for a name that is empty, used twice or not UTF-8; IoError when the file
  /// exists.
  SafetensorsWriter(const io::Path& path, std::vector<SafetensorsTensor> tensors,
                    Metadata metadata = {});

  /// Writes bytes of a tensor at its byte `begin`. Throws CheckpointError for a name that was not
  /// declared, ShapeError when the range leaves the tensor or was written before.
  void write(std::string_view name, std::span<const std::byte> bytes, std::uint64_t begin = 0);
  /// Checks that every byte of every tensor was written, forces the file to the disk and closes it.
  /// Throws CheckpointError naming a tensor that is incomplete.
  void finish();
  /// The size of the finished file.
  std::uint64_t file_bytes() const { return layout_.file_bytes; }

 private:
  struct Slot {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    std::map<std::uint64_t, std::uint64_t>
        written;  // begin -> end, neither touching nor overlapping
  };
  struct Layout {
    std::string header;
    std::map<std::string, Slot, std::less<>> slots;
    std::uint64_t file_bytes = 0;
  };
  SafetensorsWriter(const io::Path& path, Layout layout);
  void mark_written(std::string_view name, Slot& slot, std::uint64_t begin, std::uint64_t end);
  static Layout lay_out(const io::Path& path, std::vector<SafetensorsTensor> tensors,
                        Metadata metadata);

  io::File file_;
  Layout layout_;
};

}  // namespace motley
