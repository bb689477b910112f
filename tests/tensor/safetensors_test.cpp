#include "tensor/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <string>

#include "tensor/error.h"
#include "tensor/random.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

std::string length_prefix(std::uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes;
}

/// A file with this header and so many bytes of data.
std::string file_of(const std::string& header, std::size_t data_bytes) {
  return length_prefix(header.size()) + header + std::string(data_bytes, 'd');
}

std::vector<std::byte> numbered(std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
  return bytes;
}

class Safetensors : public testing::Test {
 protected:
  /// Writes a file afresh and opens it.
  SafetensorsReader open(const std::string& contents) const {
    io::remove_all(path_);
    io::File::create(path_).write(
        contents);  // without fsync, which thousands of files would wait for
    return SafetensorsReader::open(path_);
  }
  /// The file of a writer that was given two tensors.
  std::string small_file() const {
    io::remove_all(path_);
    SafetensorsWriter writer(path_, {{"w", Dtype::f32, {2, 3}}, {"b", Dtype::bf16, {3}}},
                             {{"step", "7"}});
    writer.write("b", numbered(6));
    writer.write("w", numbered(24));
    writer.finish();
    return io::read_text(path_);
  }

  ScratchDirectory scratch_;
  io::Path path_ = scratch_.path() / "model.safetensors";
};

TEST_F(Safetensors, WritesTheFormatByteForByte) {
  std::string header =
      R"({"__metadata__":{"format":"pt","step":"7"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
      R"("b":{"dtype":"BF16","shape":[3],"data_offsets":[24,30]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::string data(30, '\0');
  std::memcpy(data.data(), numbered(24).data(), 24);
  std::memcpy(data.data() + 24, numbered(6).data(), 6);
  EXPECT_EQ(small_file(), length_prefix(header.size()) + header + data);
}

TEST_F(Safetensors, ReadsBackEveryDtypeAndShape) {
  const std::vector<SafetensorsTensor> tensors{{"f32", Dtype::f32, {3, 5}},
                                               {"f16", Dtype::f16, {7}},
                                               {"bf16", Dtype::bf16, {2, 1, 3, 1}},
                                               {"i32", Dtype::i32, {}},
                                               {"u32", Dtype::u32, {0, 4}},
                                               {"u16", Dtype::u16, {1, 1, 1, 1, 1, 2}},
                                               {"u8", Dtype::u8, {11}},
                                               {"näme \"\n", Dtype::u8, {1}}};
  SafetensorsWriter writer(path_, tensors, {{"note", "ünïcode"}});
  for (const auto& tensor : tensors) {
    const std::size_t count = std::accumulate(tensor.shape.begin(), tensor.shape.end(),
                                              std::size_t{1}, std::multiplies<>());
    writer.write(tensor.name, numbered(count * size_of(tensor.dtype)));
  }
  writer.finish();
  const SafetensorsReader reader = SafetensorsReader::open(path_);
  EXPECT_EQ(io::File::open(path_).size(), writer.file_bytes());
  EXPECT_EQ(reader.entries().size(), tensors.size());
  EXPECT_EQ(reader.metadata(),
            (SafetensorsReader::Metadata{{"format", "pt"}, {"note", "ünïcode"}}));
  for (const auto& tensor : tensors) {
    const SafetensorsEntry& entry = reader.get(tensor.name);
    EXPECT_EQ(entry.dtype, tensor.dtype);
    EXPECT_EQ(entry.shape, tensor.shape);
    EXPECT_EQ(entry.offset % size_of(tensor.dtype), 0u) << tensor.name;
    std::vector<std::byte> bytes(entry.bytes);
    reader.read(entry, bytes);
    EXPECT_EQ(bytes, numbered(entry.bytes)) << tensor.name;
  }
  EXPECT_EQ(reader.shape(reader.get("bf16")), Shape({2, 1, 3, 1}));
  EXPECT_THROW(reader.shape(reader.get("u16")), CheckpointError);
  EXPECT_EQ(reader.find("absent"), nullptr);
  EXPECT_THROW(reader.get("absent"), CheckpointError);
}

TEST_F(Safetensors, ReadsPartsAndWidens) {
  SafetensorsWriter writer(
      path_, {{"w", Dtype::bf16, {4}}, {"x", Dtype::f32, {2}}, {"i", Dtype::i32, {1}}});
  const std::vector<std::uint16_t> halves{0x3F80, 0x4000, 0x4040, 0x4080};
  const std::vector<float> floats{0.25f, -1.0f};
  writer.write("w", std::as_bytes(std::span(halves)));
  writer.write("x", std::as_bytes(std::span(floats)));
  writer.write("i", numbered(4));
  writer.finish();
  const SafetensorsReader reader = SafetensorsReader::open(path_);
  std::vector<float> values(2);
  reader.read_f32(reader.get("w"), values, 1);
  EXPECT_EQ(values, (std::vector<float>{2.0f, 3.0f}));
  reader.read_f32(reader.get("x"), values);
  EXPECT_EQ(values, floats);
  EXPECT_THROW(reader.read_f32(reader.get("x"), values, 1), ShapeError);
  EXPECT_THROW(reader.read_f32(reader.get("i"), std::span(values).first(1)), CheckpointError);
  std::vector<std::byte> bytes(5);
  EXPECT_THROW(reader.read(reader.get("i"), bytes), ShapeError);
  EXPECT_THROW(reader.read(reader.get("i"), std::span(bytes).first(1), 4), ShapeError);
  EXPECT_THROW(reader.read(reader.get("i"), {}, ~std::uint64_t{0}), ShapeError);
}

TEST_F(Safetensors, AcceptsWhatTheFormatAllows) {
  EXPECT_TRUE(open(file_of("{}", 0)).entries().empty());
  EXPECT_TRUE(open(file_of("{}     ", 0)).entries().empty());
  EXPECT_EQ(
      open(file_of(R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1)).entries().size(),
      1u);
  // Empty tensors share their place with others; unknown members are left to later versions.
  const SafetensorsReader reader = open(file_of(
      R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"F32","shape":[0,9],)"
      R"("data_offsets":[0,0]},"z":{"dtype":"F32","shape":[0],"data_offsets":[2,2],"later":true}})",
      2));
  EXPECT_EQ(reader.entries().size(), 3u);
}

TEST_F(Safetensors, ListsTensorsItCannotHold) {
  const SafetensorsReader reader = open(file_of(
      R"({"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"f":{"dtype":"F4","shape":[4],)"
      R"("data_offsets":[8,10]},"w":{"dtype":"F32","shape":[1],"data_offsets":[10,14]}})",
      14));
  EXPECT_EQ(reader.get("a").dtype_name, "I64");
  EXPECT_FALSE(reader.get("a").dtype.has_value());
  std::vector<std::byte> bytes(8);
  EXPECT_THROW(reader.read(reader.get("a"), bytes), CheckpointError);
  EXPECT_NO_THROW(reader.read(reader.get("w"), std::span(bytes).first(4)));
}

struct BadFile {
  const char* what;
  std::string contents;
  const char* reason;
};

std::string one(const std::string& body, std::size_t data_bytes) {
  return file_of("{\"t\":{" + body + "}}", data_bytes);
}

const std::vector<BadFile>& bad_files() {
  static const std::string good = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";
  static const std::string huge_shape =
      R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])";
  static const std::vector<BadFile> files{
      {"empty", "", "has 0 bytes"},
      {"seven bytes", "\1\0\0\0\0\0\0", "8-byte header length"},
      {"length only", length_prefix(2), "claims 2 bytes"},
      {"length zero", length_prefix(0), "does not begin"},
      {"length beyond the file", length_prefix(3) + "{}", "claims 3 bytes"},
      {"length above the limit", length_prefix(100'000'001) + "{}", "at most 100000000"},
      {"length of all ones", length_prefix(~std::uint64_t{0}) + "{}", "at most 100000000"},
      {"leading blank", file_of(" {}", 0), "does not begin"},
      {"byte order mark", file_of("\xEF\xBB\xBF{}", 0), "does not begin"},
      {"an array", file_of("[]", 0), "does not begin"},
      {"unfinished JSON", file_of("{\"t\":", 0), "not valid JSON"},
      {"trailing text", file_of("{} x", 0), "not valid JSON"},
      {"trailing zero", file_of(std::string("{}\0", 3), 0), "not valid JSON"},
      {"invalid UTF-8", file_of("{\"\xff\":1}", 0), "UTF-8"},
      {"tensor twice", file_of("{\"t\":{" + good + "},\"t\":{" + good + "}}", 8), "twice"},
      {"member twice", one(good + ",\"dtype\":\"F32\"", 8), "twice"},
      {"metadata twice", file_of(R"({"__metadata__":{},"__metadata__":{}})", 0), "twice"},
      {"metadata a list", file_of(R"({"__metadata__":[]})", 0), "__metadata__ is []"},
      {"metadata a number", file_of(R"({"__metadata__":{"step":7}})", 0), "__metadata__.step is 7"},
      {"metadata nested", file_of(R"({"__metadata__":{"a":{"b":"c"}}})", 0), "a string"},
      {"deep", file_of("{\"t\":" + std::string(1000, '[') + std::string(1000, ']') + "}", 0),
       "nested"},
      {"tensor a number", file_of("{\"t\":3}", 0), "t is 3"},
      {"no dtype", one(R"("shape":[2],"data_offsets":[0,8])", 8), "\"dtype\""},
      {"no shape", one(R"("dtype":"F32","data_offsets":[0,8])", 8), "\"shape\""},
      {"no offsets", one(R"("dtype":"F32","shape":[2])", 8), "\"data_offsets\""},
      {"unknown dtype", one(R"("dtype":"F33","shape":[2],"data_offsets":[0,8])", 8), "no type"},
      {"lower-case dtype", one(R"("dtype":"f32","shape":[2],"data_offsets":[0,8])", 8), "no type"},
      {"dtype a number", one(R"("dtype":32,"shape":[2],"data_offsets":[0,8])", 8), "a string"},
      {"negative extent", one(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])", 8), "is -2"},
      {"fractional extent", one(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])", 8),
       "is 2.0"},
      {"extent a string", one(R"("dtype":"F32","shape":["2"],"data_offsets":[0,8])", 8),
       "an integer"},
      {"shape a number", one(R"("dtype":"F32","shape":2,"data_offsets":[0,8])", 8), "an array"},
      {"nine dimensions",
       one(R"("dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1])", 1), "at most 8"},
      {"shape overflows", one(huge_shape, 8), "overflows"},
      {"extent beyond 64 bits",
       one(R"("dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,0])", 0), "integer"},
      {"half a byte", one(R"("dtype":"F4","shape":[1],"data_offsets":[0,0])", 0), "whole bytes"},
      {"one offset", one(R"("dtype":"F32","shape":[2],"data_offsets":[8])", 8), "[begin, end]"},
      {"three offsets", one(R"("dtype":"F32","shape":[2],"data_offsets":[0,4,8])", 8),
       "[begin, end]"},
      {"offsets reversed", one(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])", 8), "from 8"},
      {"offset negative", one(R"("dtype":"F32","shape":[2],"data_offsets":[-8,0])", 8), "is -8"},
      {"offset beyond the file", one(R"("dtype":"F32","shape":[2],"data_offsets":[8,16])", 8),
       "is 16"},
      {"too many bytes", one(R"("dtype":"F32","shape":[1],"data_offsets":[0,8])", 8), "make 4"},
      {"too few bytes", one(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])", 8), "make 12"},
      {"hole at the start", one(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])", 8), "holes"},
      {"data left over", one(good, 9), "cover 8"},
      {"data missing", one(good, 7), "is 8"},
      {"no tensors for the data", file_of("{}", 4), "cover 0"},
      {"overlap",
       file_of(
           "{\"a\":{" + good + "},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
           12),
       "overlap"},
      {"same bytes", file_of("{\"a\":{" + good + "},\"b\":{" + good + "}}", 8), "overlap"},
      {"hole between",
       file_of(
           "{\"a\":{" + good + "},\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[9,10]}}",
           10),
       "holes"},
  };
  return files;
}

TEST_F(Safetensors, RefusesEveryKindOfMalformedFile) {
  for (const BadFile& file : bad_files()) {
    SCOPED_TRACE(file.what);
    try {
      open(file.contents);
      ADD_FAILURE() << "was accepted";
    } catch (const CheckpointError& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find(path_.string()), std::string::npos) << message;
      EXPECT_NE(message.find(file.reason), std::string::npos) << message;
    }
  }
}

TEST_F(Safetensors, RefusesAFileCutAnywhere) {
  const std::string whole = small_file();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_THROW(open(whole.substr(0, length)), CheckpointError) << length;
  }
  EXPECT_THROW(open(whole + 'x'), CheckpointError);
  EXPECT_NO_THROW(open(whole));
}

// A flipped bit may change a name or a number into another valid one. Then the entries must still
// cover the data exactly, which is what makes reading them safe.
TEST_F(Safetensors, SurvivesFlippedBits) {
  const std::string whole = small_file();
  const std::size_t header_end = 8 + static_cast<std::size_t>(static_cast<unsigned char>(whole[0]));
  const auto check = [&](const std::string& contents) {
    try {
      const SafetensorsReader reader = open(contents);
      std::uint64_t bytes = 0;
      for (const SafetensorsEntry& entry : reader.entries()) {
        EXPECT_LE(entry.offset + entry.bytes, contents.size());
        bytes += entry.bytes;
      }
      EXPECT_EQ(bytes, contents.size() - header_end);
    } catch (const CheckpointError&) {
      // refused: just as good
    }
  };
  for (std::size_t bit = 0; bit < 8 * header_end; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    check(flipped);
  }
  const Random random(11, Purpose::test);
  for (std::uint64_t round = 0; round < 500; ++round) {
    std::string flipped = whole;
    for (std::uint64_t flip = 0; flip < 4; ++flip) {
      const std::size_t at = 8 + random.word(8 * round + 2 * flip) % (header_end - 8);
      flipped[at] = static_cast<char>(random.word(8 * round + 2 * flip + 1) & 0xFFu);
    }
    check(flipped);
  }
}

TEST_F(Safetensors, WriterTakesPiecesInAnyOrder) {
  SafetensorsWriter writer(path_, {{"a", Dtype::u8, {10}}, {"b", Dtype::u8, {2}}});
  const std::vector<std::byte> a = numbered(10);
  writer.write("a", std::span(a).subspan(6, 4), 6);
  writer.write("a", std::span(a).subspan(0, 2), 0);
  EXPECT_THROW(writer.write("a", std::span(a).subspan(0, 3), 1), ShapeError);
  EXPECT_THROW(writer.write("a", std::span(a).subspan(0, 3), 4), ShapeError);
  EXPECT_THROW(writer.write("a", a, 0), ShapeError);
  EXPECT_THROW(writer.write("a", a, 1), ShapeError);
  EXPECT_THROW(writer.write("none", a), CheckpointError);
  writer.write("b", numbered(2));
  EXPECT_THROW(writer.finish(), CheckpointError);
  // Until finish() is through no reader takes the file, though all its bytes may be there.
  EXPECT_THROW(SafetensorsReader::open(path_), CheckpointError);
  writer.write("a", std::span(a).subspan(2, 4), 2);
  EXPECT_THROW(SafetensorsReader::open(path_), CheckpointError);
  writer.finish();
  const SafetensorsReader reader = SafetensorsReader::open(path_);
  std::vector<std::byte> bytes(10);
  reader.read(reader.get("a"), bytes);
  EXPECT_EQ(bytes, a);
}

TEST_F(Safetensors, WriterRefusesBadDeclarations) {
  using Tensors = std::vector<SafetensorsTensor>;
  for (const Tensors& tensors :
       {Tensors{{"a", Dtype::u8, {1}}, {"a", Dtype::f32, {1}}}, Tensors{{"", Dtype::u8, {1}}},
        Tensors{{"__metadata__", Dtype::u8, {1}}}, Tensors{{"\xff", Dtype::u8, {1}}}}) {
    EXPECT_THROW(SafetensorsWriter(path_, tensors), CheckpointError);
    EXPECT_FALSE(io::exists(path_));
  }
  const std::size_t huge = std::size_t{1} << 62;
  EXPECT_THROW(SafetensorsWriter(path_, {{"a", Dtype::f32, {huge}}}), ShapeError);
  EXPECT_THROW(SafetensorsWriter(path_, Tensors{}, {{"key", "\xff"}}), CheckpointError);
  io::write_text_atomically(path_, "mine");
  EXPECT_THROW(SafetensorsWriter(path_, Tensors{}), IoError);
  EXPECT_EQ(io::read_text(path_), "mine");
}

}  // namespace
}  // namespace motley
