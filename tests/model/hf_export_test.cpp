#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "model/hf_weights.h"
#include "tensor/error.h"
#include "tests/model/hf_directory.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

using test::describe;
using test::HfDirectory;
using test::HfTensor;
using test::read_param;

std::vector<std::byte> bytes_of(const SafetensorsReader& file, const SafetensorsEntry& entry) {
  std::vector<std::byte> bytes(entry.bytes);
  file.read(entry, bytes);
  return bytes;
}

/// Both files have the same tensors with the same bits.
void expect_equal_files(const io::Path& a, const io::Path& b) {
  const SafetensorsReader first = SafetensorsReader::open(a);
  const SafetensorsReader second = SafetensorsReader::open(b);
  EXPECT_EQ(first.entries().size(), second.entries().size());
  for (const SafetensorsEntry& entry : first.entries()) {
    const SafetensorsEntry& other = second.get(entry.name);
    EXPECT_EQ(entry.dtype_name, other.dtype_name) << entry.name;
    EXPECT_EQ(entry.shape, other.shape) << entry.name;
    EXPECT_EQ(bytes_of(first, entry), bytes_of(second, other)) << entry.name;
  }
}

/// Any bits at all, infinities and NaNs with their payloads included.
void set_any_bits(HfDirectory& hf) {
  std::uint32_t stream = 500;
  for (HfTensor& tensor : hf.tensors) {
    for (std::size_t i = 0; i < tensor.values.size(); ++i)
      tensor.values[i] = std::bit_cast<float>(test::hashed(stream, static_cast<std::uint32_t>(i)));
    ++stream;
  }
}

TEST(HfExport, GivesBackTheBitsOfAnF32Import) {
  for (HfDirectory hf : {test::hf_gpt2(), test::hf_llama()}) {
    const ScratchDirectory scratch;
    set_any_bits(hf);
    hf.write(scratch / "in");
    const HfWeights weights = HfWeights::open(scratch / "in");
    export_hf(weights, scratch / "out", {});
    expect_equal_files(scratch / "in/model.safetensors", scratch / "out/model.safetensors");
    EXPECT_EQ(describe(HfWeights::open(scratch / "out").config()), describe(weights.config()));
    EXPECT_EQ(io::list(scratch / "out"),
              (std::vector<std::string>{"config.json", "model.safetensors"}));
  }
}

TEST(HfExport, GivesBackTheBitsOfHalves) {
  for (const Dtype dtype : {Dtype::f16, Dtype::bf16}) {
    const ScratchDirectory scratch;
    test::hf_gpt2().write(scratch / "in", dtype);
    export_hf(HfWeights::open(scratch / "in"), scratch / "out", {.dtype = dtype});
    expect_equal_files(scratch / "in/model.safetensors", scratch / "out/model.safetensors");
  }
}

TEST(HfExport, RoundsToHalves) {
  const ScratchDirectory scratch;
  HfDirectory hf = test::hf_llama();
  hf.at("model.norm.weight").values[3] = 1.0f / 3.0f;
  hf.write(scratch / "in");
  const HfWeights weights = HfWeights::open(scratch / "in");
  export_hf(weights, scratch / "f16", {.dtype = Dtype::f16});
  export_hf(weights, scratch / "bf16", {.dtype = Dtype::bf16});
  EXPECT_EQ(read_param(HfWeights::open(scratch / "f16"), "final_norm.weight")[3], 0x1.554p-2f);
  EXPECT_EQ(read_param(HfWeights::open(scratch / "bf16"), "final_norm.weight")[3], 0x1.56p-2f);
}

TEST(HfExport, RefusesAValueBeyondF16) {
  const ScratchDirectory scratch;
  HfDirectory hf = test::hf_llama();
  hf.at("model.norm.weight").values[3] = 70000.0f;
  hf.write(scratch / "in");
  const auto before = scratch.contents();
  const HfWeights weights = HfWeights::open(scratch / "in");
  const std::string message =
      message_of<ConfigError>([&] { export_hf(weights, scratch / "out", {.dtype = Dtype::f16}); });
  expect_mentions(message, "model.norm.weight holds 70000");
  EXPECT_EQ(scratch.contents(), before);
  EXPECT_EQ(io::list(scratch.path()), std::vector<std::string>{"in"});
  export_hf(weights, scratch / "out", {.dtype = Dtype::bf16});
}

TEST(HfExport, CutsLargeModelsIntoFiles) {
  const ScratchDirectory scratch;
  HfDirectory hf = test::hf_llama();
  hf.write(scratch / "in");
  const HfWeights weights = HfWeights::open(scratch / "in");
  // Some files hold several tensors, some one that is larger than the limit.
  export_hf(weights, scratch / "out", {.max_file_bytes = 6000});
  EXPECT_GT(io::list(scratch / "out").size(), 5u);
  EXPECT_FALSE(io::exists(scratch / "out/model.safetensors"));
  const auto index =
      nlohmann::json::parse(io::read_text(scratch / "out/model.safetensors.index.json"));
  EXPECT_EQ(index["metadata"]["total_size"], num_parameters(weights.config()) * 4);
  const HfWeights again = HfWeights::open(scratch / "out");
  for (const ParamSpec& spec : parameter_specs(weights.config())) {
    EXPECT_EQ(read_param(again, spec.name), read_param(weights, spec.name)) << spec.name;
  }
}

TEST(HfExport, TakesTheTokenizerAlong) {
  const ScratchDirectory scratch;
  test::hf_llama().write(scratch / "in");
  scratch.write("in/tokenizer.json", "{\"a\": \"tokenizer\"}");
  export_hf(HfWeights::open(scratch / "in"), scratch / "out", {.end_of_text = 66});
  EXPECT_EQ(io::read_text(scratch / "out/tokenizer.json"), "{\"a\": \"tokenizer\"}");
  const auto root = nlohmann::json::parse(io::read_text(scratch / "out/tokenizer_config.json"));
  EXPECT_EQ(root["eos_token"], "<|endoftext|>");
  EXPECT_EQ(root["model_max_length"], 20);
}

TEST(HfExport, LeavesAnExistingDirectoryAsItIs) {
  const ScratchDirectory scratch;
  test::hf_llama().write(scratch / "in");
  const auto before = scratch.contents();
  const HfWeights weights = HfWeights::open(scratch / "in");
  expect_mentions(message_of<ConfigError>([&] { export_hf(weights, scratch / "in", {}); }),
                  "exists");
  EXPECT_EQ(scratch.contents(), before);
}

/// A disk that fails half way.
class FailingSource final : public WeightSource {
 public:
  explicit FailingSource(const HfWeights& weights) : weights_(weights) {}
  const ModelConfig& config() const override { return weights_.config(); }
  io::Path tokenizer() const override { return {}; }
  void read(const ParamSpec& spec, std::span<float> values) const override {
    if (spec.name == "layers.0.attn.out.weight") fail<IoError>("io.failed", "the disk failed");
    weights_.read(spec, values);
  }

 private:
  const HfWeights& weights_;
};

TEST(HfExport, LeavesNothingWhenItFails) {
  const ScratchDirectory scratch;
  test::hf_llama().write(scratch / "in");
  const HfWeights weights = HfWeights::open(scratch / "in");
  EXPECT_THROW(export_hf(FailingSource(weights), scratch / "out", {}), IoError);
  EXPECT_EQ(io::list(scratch.path()), std::vector<std::string>{"in"});
}

}  // namespace
}  // namespace motley
