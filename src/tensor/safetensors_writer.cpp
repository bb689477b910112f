// The writing half of safetensors.h.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "tensor/safetensors.h"

namespace motley {
namespace {

constexpr std::uint64_t length_bytes = 8;
constexpr std::uint64_t header_alignment = 8;  // so that the data begins at a multiple of 8
constexpr std::uint64_t max_header_bytes = 100'000'000;

/// The order of types in the file. Wide ones first keeps every tensor aligned to its own type, and
/// the reference writer sorts alike.
std::size_t order_of(Dtype dtype) {
  constexpr std::array order{Dtype::f32, Dtype::u32, Dtype::i32, Dtype::bf16,
                             Dtype::f16, Dtype::u16, Dtype::u8};
  return static_cast<std::size_t>(std::find(order.begin(), order.end(), dtype) - order.begin());
}

/// The format writes our names in capitals.
std::string format_name(Dtype dtype) {
  std::string name(name_of(dtype));
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  });
  return name;
}

/// A value as JSON. Throws CheckpointError when a string in it is not UTF-8.
std::string as_json(const io::Path& path, const nlohmann::json& value) {
  try {
    return value.dump();
  } catch (const nlohmann::json::type_error&) {
    fail<CheckpointError>("ckpt.name", "{}: a tensor's name or a metadata value is not valid UTF-8",
                          path.string());
  }
}

}  // namespace

SafetensorsWriter::Layout SafetensorsWriter::lay_out(const io::Path& path,
                                                     std::vector<SafetensorsTensor> tensors,
                                                     Metadata metadata) {
  std::sort(tensors.begin(), tensors.end(),
            [](const SafetensorsTensor& a, const SafetensorsTensor& b) {
              return std::tuple(order_of(a.dtype), std::string_view(a.name)) <
                     std::tuple(order_of(b.dtype), std::string_view(b.name));
            });
  metadata["format"] = "pt";
  Layout layout;
  // Joined by hand: an ordered JSON object would search all its members at each insertion.
  layout.header = "{\"__metadata__\":" + as_json(path, metadata);
  std::uint64_t end = 0;
  for (const SafetensorsTensor& tensor : tensors) {
    std::uint64_t bytes = size_of(tensor.dtype);
    for (const std::size_t extent : tensor.shape) bytes = checked_mul(bytes, extent);
    const bool is_new = layout.slots.emplace(tensor.name, Slot{end, bytes, {}}).second;
    require<CheckpointError>(
        is_new && !tensor.name.empty() && tensor.name != "__metadata__", "ckpt.name",
        "{}: a tensor cannot be called \"{}\": names must be unique, not empty and not "
        "__metadata__",
        path.string(), tensor.name);
    layout.header += fmt::format(R"(,{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                                 as_json(path, tensor.name), format_name(tensor.dtype),
                                 fmt::join(tensor.shape, ","), end, checked_add(end, bytes));
    end = checked_add(end, bytes);
  }
  layout.header += '}';
  layout.header.resize(round_up(layout.header.size(), header_alignment), ' ');
  require<CheckpointError>(
      layout.header.size() <= max_header_bytes, "ckpt.header",
      "{}: a header of {} bytes would be needed, readers accept at most {}; write "
      "fewer tensors into one file",
      path.string(), layout.header.size(), max_header_bytes);
  const std::uint64_t data_begin = length_bytes + layout.header.size();
  for (auto& [name, slot] : layout.slots) slot.offset += data_begin;
  layout.file_bytes = checked_add(data_begin, end);
  return layout;
}

SafetensorsWriter::SafetensorsWriter(const io::Path& path, std::vector<SafetensorsTensor> tensors,
                                     Metadata metadata)
    : SafetensorsWriter(path, lay_out(path, std::move(tensors), std::move(metadata))) {}

SafetensorsWriter::SafetensorsWriter(const io::Path& path, Layout layout)
    : file_(io::File::create(path)), layout_(std::move(layout)) {
  // The header's length stays 0, which every reader refuses, until finish() has seen all tensors
  // written.
  file_.write(std::string_view("\0\0\0\0\0\0\0\0", length_bytes));
  file_.write(layout_.header);
}

void SafetensorsWriter::mark_written(std::string_view name, Slot& slot, std::uint64_t begin,
                                     std::uint64_t end) {
  auto next = slot.written.lower_bound(begin);
  const bool hits_next = next != slot.written.end() && next->first < end;
  const bool hits_previous = next != slot.written.begin() && std::prev(next)->second > begin;
  require<ShapeError>(!hits_next && !hits_previous, "ckpt.range",
                      "{}: bytes {} to {} of tensor {} were written before; write each byte once",
                      file_.path().string(), begin, end, name);
  if (next != slot.written.end() && next->first == end) {
    end = next->second;
    next = slot.written.erase(next);
  }
  if (next != slot.written.begin() && std::prev(next)->second == begin) {
    std::prev(next)->second = end;
  } else {
    slot.written.emplace_hint(next, begin, end);
  }
}

void SafetensorsWriter::write(std::string_view name, std::span<const std::byte> bytes,
                              std::uint64_t begin) {
  const auto found = layout_.slots.find(name);
  require<CheckpointError>(found != layout_.slots.end(), "ckpt.missing-tensor",
                           "{}: tensor {} was not declared before writing", file_.path().string(),
                           name);
  Slot& slot = found->second;
  require<ShapeError>(begin <= slot.bytes && bytes.size() <= slot.bytes - begin, "ckpt.range",
                      "{}: {} bytes from byte {} do not fit tensor {}, which has {}",
                      file_.path().string(), bytes.size(), begin, name, slot.bytes);
  if (bytes.empty()) return;
  mark_written(name, slot, begin, begin + bytes.size());
  file_.write_at(slot.offset + begin, bytes);
}

void SafetensorsWriter::finish() {
  for (const auto& [name, slot] : layout_.slots) {
    const bool is_whole =
        slot.bytes == 0 || (slot.written.size() == 1 && slot.written.begin()->first == 0 &&
                            slot.written.begin()->second == slot.bytes);
    require<CheckpointError>(is_whole, "ckpt.incomplete",
                             "{}: not every byte of tensor {} was written before finish()",
                             file_.path().string(), name);
  }
  const std::uint64_t length = layout_.header.size();
  file_.write_at(0, std::as_bytes(std::span(&length, 1)));
  file_.sync();
  file_.close();
}

}  // namespace motley
