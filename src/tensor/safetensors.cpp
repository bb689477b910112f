#include "tensor/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "tensor/half.h"
#include "tensor/json.h"

namespace motley {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian, and so are we");

constexpr std::uint64_t length_bytes = 8;
constexpr std::uint64_t max_header_bytes = 100'000'000;  // the reference reader's limit
constexpr std::size_t max_rank = 8;
constexpr std::size_t max_header_depth = 4;  // header, tensor, shape, and one for members to come

/// The format's types in the order it sorts by. Types of less than a byte exist.
struct FormatType {
  std::string_view name;
  std::uint64_t bits;
  std::optional<Dtype> dtype;
};
constexpr std::array<FormatType, 22> format_types{{
    {"BOOL", 8, {}},         {"F4", 4, {}},           {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}},      {"U8", 8, Dtype::u8},    {"I8", 8, {}},
    {"F8_E5M2", 8, {}},      {"F8_E4M3", 8, {}},      {"F8_E8M0", 8, {}},
    {"F8_E4M3FNUZ", 8, {}},  {"F8_E5M2FNUZ", 8, {}},  {"I16", 16, {}},
    {"U16", 16, Dtype::u16}, {"F16", 16, Dtype::f16}, {"BF16", 16, Dtype::bf16},
    {"I32", 32, Dtype::i32}, {"U32", 32, Dtype::u32}, {"F32", 32, Dtype::f32},
    {"C64", 64, {}},         {"F64", 64, {}},         {"I64", 64, {}},
    {"U64", 64, {}},
}};

const FormatType* type_named(std::string_view name) {
  const auto type = std::find_if(format_types.begin(), format_types.end(),
                                 [&](const FormatType& t) { return t.name == name; });
  return type == format_types.end() ? nullptr : &*type;
}

/// Throws for tensors whose bits overflow or do not fill whole bytes.
std::uint64_t bytes_of_tensor(const json::Value& where, const FormatType& type,
                              const std::vector<std::size_t>& shape) {
  std::uint64_t bits = type.bits;
  for (const std::size_t extent : shape) {
    if (__builtin_mul_overflow(bits, extent, &bits))
      where.refuse("has a shape that overflows 64 bits");
  }
  if (bits % 8 != 0) where.refuse(fmt::format("has {} bits, which are no whole bytes", bits));
  return bits / 8;
}

/// Checks one member of the header. The offset is still relative to the data.
SafetensorsEntry parse_entry(std::string name, const json::Value& value, std::uint64_t data_bytes) {
  SafetensorsEntry entry;
  entry.name = std::move(name);
  entry.dtype_name = value.get("dtype").as_string();
  const FormatType* type = type_named(entry.dtype_name);
  if (type == nullptr) value.get("dtype").refuse("is no type of the safetensors format");
  entry.dtype = type->dtype;

  const json::Value shape = value.get("shape");
  if (shape.length() > max_rank) {
    shape.refuse(
        fmt::format("has {} dimensions; at most {} are accepted", shape.length(), max_rank));
  }
  for (std::size_t i = 0; i < shape.length(); ++i) entry.shape.push_back(shape.at(i).as_size());

  const json::Value offsets = value.get("data_offsets");
  if (offsets.length() != 2) offsets.refuse("must be [begin, end]");
  entry.offset = offsets.at(0).as_size(0, data_bytes);
  entry.bytes = offsets.at(1).as_size(entry.offset, data_bytes) - entry.offset;

  const std::uint64_t bytes = bytes_of_tensor(value, *type, entry.shape);
  if (bytes != entry.bytes) {
    value.refuse(
        fmt::format("spans {} bytes, but its shape and dtype make {}", entry.bytes, bytes));
  }
  return entry;
}

/// Reads the header's text after checking its length against the file.
std::string read_header(const io::File& file) {
  const std::string path = file.path().string();
  const std::uint64_t size = file.size();
  require<CheckpointError>(
      size >= length_bytes, "ckpt.truncated",
      "{} has {} bytes; a safetensors file starts with an 8-byte header length", path, size);
  std::uint64_t length = 0;
  file.read_at(0, std::as_writable_bytes(std::span(&length, 1)));
  require<CheckpointError>(
      length <= max_header_bytes, "ckpt.header",
      "{}: the header claims {} bytes; at most {} are allowed, so that this is no "
      "safetensors file or a damaged one",
      path, length, max_header_bytes);
  require<CheckpointError>(length <= size - length_bytes, "ckpt.truncated",
                           "{}: the header claims {} bytes, but the file has only {} in all", path,
                           length, size);
  std::string header(length, '\0');
  file.read_at(length_bytes, std::as_writable_bytes(std::span(header)));
  require<CheckpointError>(
      header.starts_with('{'), "ckpt.header",
      "{}: the header does not begin with '{{'; this is no safetensors file, a "
      "damaged one, or one that was never finished",
      path);
  return header;
}

/// Sorts entries by their bytes and checks that these fill the data without holes or overlap.
void check_cover(std::vector<SafetensorsEntry>& entries, const io::Path& path,
                 std::uint64_t data_bytes) {
  std::sort(entries.begin(), entries.end(),
            [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
              return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
            });
  std::uint64_t end = 0;
  for (const SafetensorsEntry& entry : entries) {
    require<CheckpointError>(
        entry.offset == end, "ckpt.layout",
        "{}: tensor {} begins at byte {} of the data, but the one before it ends at {}; "
        "tensors may neither overlap nor leave holes",
        path.string(), entry.name, entry.offset, end);
    end += entry.bytes;  // at most data_bytes: parse_entry saw to that
  }
  require<CheckpointError>(end == data_bytes, "ckpt.layout",
                           "{} has {} bytes of data, but its tensors cover {}; the file is damaged",
                           path.string(), data_bytes, end);
}

}  // namespace

SafetensorsReader SafetensorsReader::open(const io::Path& path) {
  SafetensorsReader reader(io::File::open(path));
  const std::string header = read_header(reader.file_);
  const std::uint64_t data_begin = length_bytes + header.size();
  const std::uint64_t data_bytes = reader.file_.size() - data_begin;
  const json::Value root =
      json::parse(header, path.string(), json::Kind::checkpoint,
                  {.max_bytes = max_header_bytes, .max_depth = max_header_depth});
  for (std::string& name : root.keys()) {
    const json::Value value = root.get(name);
    if (name == "__metadata__") {
      for (const std::string& key : value.keys())
        reader.metadata_[key] = value.get(key).as_string();
      continue;
    }
    reader.entries_.push_back(parse_entry(std::move(name), value, data_bytes));
  }
  check_cover(reader.entries_, path, data_bytes);
  for (std::size_t i = 0; i < reader.entries_.size(); ++i) {
    reader.entries_[i].offset += data_begin;
    reader.index_.emplace(reader.entries_[i].name, i);
  }
  return reader;
}

const SafetensorsEntry* SafetensorsReader::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &entries_[found->second];
}

const SafetensorsEntry& SafetensorsReader::get(std::string_view name) const {
  const SafetensorsEntry* entry = find(name);
  require<CheckpointError>(entry != nullptr, "ckpt.missing-tensor",
                           "{} has no tensor {}; it holds {} others", path().string(), name,
                           entries_.size());
  return *entry;
}

Shape SafetensorsReader::shape(const SafetensorsEntry& entry) const {
  require<CheckpointError>(entry.shape.size() <= Shape::max_rank, "ckpt.rank",
                           "{}: tensor {} has {} dimensions; at most {} can be loaded",
                           path().string(), entry.name, entry.shape.size(), Shape::max_rank);
  return Shape(entry.shape);
}

void SafetensorsReader::read(const SafetensorsEntry& entry, std::span<std::byte> bytes,
                             std::uint64_t begin) const {
  require<CheckpointError>(
      entry.dtype.has_value(), "ckpt.dtype",
      "{}: tensor {} is of type {}, which cannot be loaded; convert the file to F32, "
      "F16 or BF16",
      path().string(), entry.name, entry.dtype_name);
  require<ShapeError>(begin <= entry.bytes && bytes.size() <= entry.bytes - begin, "ckpt.range",
                      "{}: {} bytes from byte {} of tensor {} were asked for, which has {}",
                      path().string(), bytes.size(), begin, entry.name, entry.bytes);
  file_.read_at(entry.offset + begin, bytes);
}

void SafetensorsReader::read_f32(const SafetensorsEntry& entry, std::span<float> values,
                                 std::uint64_t first) const {
  const bool is_real =
      entry.dtype == Dtype::f32 || entry.dtype == Dtype::f16 || entry.dtype == Dtype::bf16;
  require<CheckpointError>(
      is_real, "ckpt.dtype",
      "{}: tensor {} is of type {}; real numbers (F32, F16 or BF16) are needed", path().string(),
      entry.name, entry.dtype_name);
  const std::size_t width = size_of(*entry.dtype);
  if (entry.dtype == Dtype::f32) {
    read(entry, std::as_writable_bytes(values), checked_mul(first, width));
    return;
  }
  std::vector<std::byte> bytes(checked_mul(values.size(), width));
  read(entry, bytes, checked_mul(first, width));
  convert_to_f32(values, bytes, *entry.dtype);
}

}  // namespace motley
