#include "model/hf_weights.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tensor/error.h"
#include "tests/model/hf_directory.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

using test::HfDirectory;
using test::HfTensor;
using test::read_param;

std::vector<float> transposed(const HfTensor& tensor) {
  const std::size_t rows = tensor.shape[0];
  const std::size_t columns = tensor.shape[1];
  std::vector<float> out(tensor.values.size());
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = tensor.values[i % rows * columns + i / rows];
  return out;
}

std::vector<float> joined(HfDirectory& hf, const std::vector<std::string>& names) {
  std::vector<float> all;
  for (const std::string& name : names) {
    const std::vector<float>& values = hf.at(name).values;
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

void expect_gpt2(const WeightSource& weights, HfDirectory& hf, const std::string& prefix) {
  EXPECT_EQ(read_param(weights, "embed.weight"), hf.at(prefix + "wte.weight").values);
  EXPECT_EQ(read_param(weights, "position.weight"), hf.at(prefix + "wpe.weight").values);
  for (const char* leaf : {".weight", ".bias"}) {
    EXPECT_EQ(read_param(weights, std::string("final_norm") + leaf),
              hf.at(prefix + "ln_f" + leaf).values);
  }
  const std::vector<std::pair<std::string, std::string>> names = {
      {"norm1", "ln_1"}, {"attn.qkv", "attn.c_attn"}, {"attn.out", "attn.c_proj"},
      {"norm2", "ln_2"}, {"mlp.up", "mlp.c_fc"},      {"mlp.down", "mlp.c_proj"}};
  for (const std::string layer : {"0.", "1."}) {
    for (const auto& [ours, theirs] : names) {
      const HfTensor& weight = hf.at(prefix + "h." + layer + theirs + ".weight");
      const HfTensor& bias = hf.at(prefix + "h." + layer + theirs + ".bias");
      EXPECT_EQ(read_param(weights, "layers." + layer + ours + ".weight"),
                weight.shape.size() == 2 ? transposed(weight) : weight.values)
          << theirs;
      EXPECT_EQ(read_param(weights, "layers." + layer + ours + ".bias"), bias.values) << theirs;
    }
  }
}

void expect_llama(const WeightSource& weights, HfDirectory& hf) {
  EXPECT_EQ(read_param(weights, "embed.weight"), hf.at("model.embed_tokens.weight").values);
  EXPECT_EQ(read_param(weights, "final_norm.weight"), hf.at("model.norm.weight").values);
  const std::vector<std::pair<std::string, std::vector<std::string>>> names = {
      {"norm1", {"input_layernorm"}},
      {"attn.qkv", {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
      {"attn.out", {"self_attn.o_proj"}},
      {"norm2", {"post_attention_layernorm"}},
      {"mlp.gate_up", {"mlp.gate_proj", "mlp.up_proj"}},
      {"mlp.down", {"mlp.down_proj"}}};
  for (const std::string layer : {"0.", "1."}) {
    for (const auto& [ours, theirs] : names) {
      std::vector<std::string> parts;
      for (const std::string& name : theirs) {
        parts.push_back("model.layers." + layer + name + ".weight");
      }
      EXPECT_EQ(read_param(weights, "layers." + layer + ours + ".weight"), joined(hf, parts))
          << ours;
    }
  }
}

TEST(HfWeights, ReadsGpt2WithAndWithoutPrefix) {
  for (const std::string prefix : {"transformer.", ""}) {
    SCOPED_TRACE("prefix '" + prefix + "'");
    const ScratchDirectory scratch;
    HfDirectory hf = test::hf_gpt2(prefix);
    hf.write(scratch.path());
    expect_gpt2(HfWeights::open(scratch.path()), hf, prefix);
  }
}

TEST(HfWeights, IgnoresTheMasksOfOldFiles) {
  const ScratchDirectory scratch;
  HfDirectory hf = test::hf_gpt2("");
  for (const std::string layer : {"h.0.", "h.1."}) {
    hf.add(layer + "attn.bias", {1, 1, 20, 20});
    hf.add(layer + "attn.masked_bias", {});
  }
  hf.write(scratch.path());
  expect_gpt2(HfWeights::open(scratch.path()), hf, "");
}

TEST(HfWeights, ReadsLlamaUntied) {
  const ScratchDirectory scratch;
  HfDirectory hf = test::hf_llama();
  hf.write(scratch.path());
  const HfWeights weights = HfWeights::open(scratch.path());
  expect_llama(weights, hf);
  EXPECT_EQ(read_param(weights, "head.weight"), hf.at("lm_head.weight").values);
}

TEST(HfWeights, ReadsLlamaTied) {
  HfDirectory hf = test::hf_llama();
  hf.config["tie_word_embeddings"] = true;
  hf.at("lm_head.weight").values = hf.at("model.embed_tokens.weight").values;
  hf.add("model.layers.0.self_attn.rotary_emb.inv_freq", {4});
  for (const char* repeated : {"lm_head.weight", ""}) {
    const ScratchDirectory scratch;
    if (*repeated == '\0') hf.remove("lm_head.weight");
    hf.write(scratch.path());
    const HfWeights weights = HfWeights::open(scratch.path());
    EXPECT_TRUE(weights.config().tie);
    expect_llama(weights, hf);
  }
}

TEST(HfWeights, RefusesATiedHeadThatDiffers) {
  const ScratchDirectory scratch;
  HfDirectory hf = test::hf_llama();
  hf.config["tie_word_embeddings"] = true;
  hf.write(scratch.path());
  const std::string message = message_of<CheckpointError>([&] { HfWeights::open(scratch.path()); });
  expect_mentions(message, "model.safetensors");
  expect_mentions(message, "lm_head.weight differs");
}

TEST(HfWeights, ReadsSeveralFilesThroughTheirIndex) {
  const ScratchDirectory scratch;
  HfDirectory hf = test::hf_llama();
  hf.write_sharded(scratch.path());
  expect_llama(HfWeights::open(scratch.path()), hf);
}

TEST(HfWeights, ReadsHalvesExactly) {
  for (const Dtype dtype : {Dtype::f16, Dtype::bf16}) {
    const ScratchDirectory scratch;
    HfDirectory hf = test::hf_gpt2();
    hf.write(scratch.path(), dtype);
    expect_gpt2(HfWeights::open(scratch.path()), hf, "transformer.");
  }
}

TEST(HfWeights, LoadsEveryParameterIntoAStore) {
  const ScratchDirectory scratch;
  HfDirectory hf = test::hf_llama();
  hf.write(scratch.path());
  const HfWeights weights = HfWeights::open(scratch.path());
  Device device(list_devices().front(), {});
  ParamStore params(device, weights.config());
  load_weights(device.stream(), params, weights);
  for (const Param& param : params.params()) {
    EXPECT_EQ(test::read(device.stream(), param.value), read_param(weights, param.spec.name));
  }
}

/// A change to a whole directory that must be refused.
struct Damage {
  const char* name;
  HfDirectory (*make)();
  void (*change)(HfDirectory& hf);
  std::vector<std::string> mentions;
};

class DamagedHf : public testing::TestWithParam<Damage> {};

TEST_P(DamagedHf, IsRefusedByName) {
  const ScratchDirectory scratch;
  HfDirectory hf = GetParam().make();
  GetParam().change(hf);
  hf.write(scratch.path());
  std::vector<std::string> mentions = GetParam().mentions;
  mentions.push_back("model.safetensors");
  test::expect_refused(scratch, mentions);
}

HfDirectory make_gpt2() {
  return test::hf_gpt2();
}

INSTANTIATE_TEST_SUITE_P(
    Tensors, DamagedHf,
    testing::Values(Damage{"Missing",
                           make_gpt2,
                           [](HfDirectory& hf) { hf.remove("transformer.wpe.weight"); },
                           {"transformer.wpe.weight", "missing"}},
                    Damage{"MissingHead",
                           test::hf_llama,
                           [](HfDirectory& hf) { hf.remove("lm_head.weight"); },
                           {"lm_head.weight", "missing"}},
                    Damage{"MissingPiece",
                           test::hf_llama,
                           [](HfDirectory& hf) {
                             hf.remove("model.layers.1.self_attn.k_proj.weight");
                           },
                           {"model.layers.1.self_attn.k_proj.weight", "missing"}},
                    Damage{"NotTransposed",
                           make_gpt2,
                           [](HfDirectory& hf) {
                             hf.at("transformer.h.0.attn.c_attn.weight").shape = {72, 24};
                           },
                           {"c_attn.weight", "[72, 24]", "[24, 72]"}},
                    Damage{"Rank",
                           make_gpt2,
                           [](HfDirectory& hf) {
                             hf.at("transformer.ln_f.bias").shape = {1, 24};
                           },
                           {"ln_f.bias", "[1, 24]"}},
                    Damage{"OtherVocabulary",
                           test::hf_llama,
                           [](HfDirectory& hf) { hf.config["vocab_size"] = 68; },
                           {"[67, 24]", "[68, 24]"}},
                    Damage{"FewerLayers",
                           test::hf_llama,
                           [](HfDirectory& hf) { hf.config["num_hidden_layers"] = 1; },
                           {"model.layers.1.", "belongs to nothing"}},
                    Damage{"MoreLayers",
                           make_gpt2,
                           [](HfDirectory& hf) { hf.config["n_layer"] = 3; },
                           {"transformer.h.2.", "missing"}},
                    Damage{"OtherFamily",
                           make_gpt2,
                           [](HfDirectory& hf) { hf.config = test::hf_llama().config; },
                           {"model.", "missing"}},
                    Damage{"BothPrefixes",
                           make_gpt2,
                           [](HfDirectory& hf) {
                             hf.add("wpe.weight", {20, 24});
                           },
                           {"wpe.weight", "belongs to nothing"}},
                    Damage{"Unknown",
                           test::hf_llama,
                           [](HfDirectory& hf) {
                             hf.add("model.layers.0.self_attn.q_proj.lora_A", {4, 24});
                           },
                           {"lora_A", "belongs to nothing"}}),
    [](const auto& row) { return row.param.name; });

TEST(HfWeights, RefusesOtherTypes) {
  const ScratchDirectory scratch;
  HfDirectory hf = test::hf_llama();
  hf.write(scratch.path());
  // Everything F32 but one integer, written anew.
  std::vector<SafetensorsTensor> declared;
  for (const HfTensor& tensor : hf.tensors) {
    const bool is_head = tensor.name == "lm_head.weight";
    declared.push_back({tensor.name, is_head ? Dtype::i32 : Dtype::f32, tensor.shape});
  }
  io::remove_all(scratch / "model.safetensors");
  SafetensorsWriter file(scratch / "model.safetensors", declared);
  for (const HfTensor& tensor : hf.tensors) {
    file.write(tensor.name, std::as_bytes(std::span(tensor.values)));
  }
  file.finish();
  test::expect_refused(scratch, {"model.safetensors", "lm_head.weight", "I32"});
}

TEST(HfWeights, SaysWhatIsNoHuggingFaceDirectory) {
  const ScratchDirectory scratch;
  test::expect_refused(scratch, {"no config.json"});
  scratch.write("config.json", test::hf_gpt2().config.dump());
  scratch.write("pytorch_model.bin", "a pickle, which is never read");
  test::expect_refused(scratch, {"neither model.safetensors nor model.safetensors.index.json"});
}

TEST(HfWeights, RefusesATruncatedFile) {
  const ScratchDirectory scratch;
  test::hf_gpt2().write(scratch.path());
  const std::string whole = io::read_text(scratch / "model.safetensors");
  for (std::size_t length = 0; length < whole.size(); length += whole.size() / 61) {
    test::overwrite(scratch / "model.safetensors", whole.substr(0, length));
    test::expect_refused(scratch, {"model.safetensors"});
  }
  for (const std::string& other : {whole.substr(0, whole.size() - 1), whole + "x"}) {
    test::overwrite(scratch / "model.safetensors", other);
    test::expect_refused(scratch, {"model.safetensors"});
  }
}

TEST(HfWeights, AFlippedBitInTheHeaderIsRefusedOrHarmless) {
  const ScratchDirectory scratch;
  HfDirectory hf = test::hf_llama();
  hf.write(scratch.path());
  std::string file = io::read_text(scratch / "model.safetensors");
  std::uint64_t header = 0;
  std::memcpy(&header, file.data(), sizeof header);
  std::size_t num_refused = 0;
  for (std::size_t i = 0; i < 8 + header; ++i) {
    const auto bit = static_cast<char>(1 << (i % 8));
    file[i] = static_cast<char>(file[i] ^ bit);
    test::overwrite(scratch / "model.safetensors", file);
    file[i] = static_cast<char>(file[i] ^ bit);
    try {
      expect_llama(HfWeights::open(scratch.path()), hf);  // a flip in the metadata's text
    } catch (const CheckpointError& e) {
      expect_mentions(e.what(), "model.safetensors");
      ++num_refused;
    }
  }
  EXPECT_GT(num_refused, header - 20);
}

}  // namespace
}  // namespace motley
