#include "model/hf_config.h"

#include <gtest/gtest.h>

#include "tensor/error.h"
#include "tests/model/hf_directory.h"
#include "tests/scratch_directory.h"

namespace motley {
namespace {

using nlohmann::json;
using test::describe;

/// Reads a config.json with some members replaced or added (RFC 7396).
ModelConfig read_patched(json config, const json& patch) {
  const ScratchDirectory scratch;
  config.merge_patch(patch);
  return read_hf_config(scratch.write("config.json", config.dump()));
}

TEST(HfConfig, ReadsBothFamilies) {
  EXPECT_EQ(describe(read_patched(test::hf_gpt2().config, json::object())),
            describe(test::tiny_gpt2()));
  EXPECT_EQ(describe(read_patched(test::hf_llama().config, json::object())),
            describe(test::tiny_llama()));
}

TEST(HfConfig, FillsInTheDefaultsOfTransformers) {
  const ModelConfig llama = read_patched(test::hf_llama().config, {{"num_key_value_heads", nullptr},
                                                                   {"head_dim", nullptr},
                                                                   {"rms_norm_eps", nullptr},
                                                                   {"rope_theta", nullptr}});
  EXPECT_EQ(llama.kv_heads, 4u);
  EXPECT_EQ(llama.head_dim, 6u);
  EXPECT_EQ(llama.norm_eps, 1e-6f);
  EXPECT_EQ(llama.rope_theta, 10000.0f);
  EXPECT_FALSE(llama.tie);
  const ModelConfig gpt2 = read_patched(test::hf_gpt2().config, {{"n_inner", 50}});
  EXPECT_EQ(gpt2.mlp_width, 50u);
  EXPECT_TRUE(gpt2.tie);
}

TEST(HfConfig, TellsTheTwoGelusApart) {
  const auto gelu = [](const char* name) {
    return read_patched(test::hf_gpt2().config, {{"activation_function", name}}).gelu;
  };
  EXPECT_EQ(gelu("gelu"), op::Gelu::erf);
  EXPECT_EQ(gelu("gelu_new"), op::Gelu::tanh);
  EXPECT_EQ(gelu("gelu_pytorch_tanh"), op::Gelu::tanh);
}

TEST(HfConfig, FindsRopeThetaInBothPlaces) {
  const json base = test::hf_llama().config;
  EXPECT_EQ(read_patched(base, {{"rope_theta", 5e5}}).rope_theta, 5e5f);
  const json parameters = {{"rope_type", "default"}, {"rope_theta", 7e5}};
  EXPECT_EQ(read_patched(base, {{"rope_parameters", parameters}}).rope_theta, 7e5f);
  EXPECT_EQ(
      read_patched(base, {{"rope_theta", nullptr}, {"rope_parameters", parameters}}).rope_theta,
      7e5f);
}

TEST(HfConfig, AcceptsOptionsThatChangeNothing) {
  read_patched(test::hf_llama().config, {{"attention_bias", false},
                                         {"hidden_act", "silu"},
                                         {"rope_scaling", {{"type", "default"}}},
                                         {"partial_rotary_factor", 1.0},
                                         {"pretraining_tp", 1},
                                         {"use_cache", true}});
  read_patched(test::hf_gpt2().config, {{"activation_function", "gelu_pytorch_tanh"},
                                        {"scale_attn_weights", true},
                                        {"resid_pdrop", 0.1}});
}

/// A change (RFC 7396) that must be refused, and what the message must name.
struct Refused {
  const char* name;
  json base;
  const char* patch;
  const char* mention;
};

class RefusedHfConfig : public testing::TestWithParam<Refused> {};

TEST_P(RefusedHfConfig, NamesFileAndMember) {
  const std::string message = message_of<CheckpointError>(
      [] { read_patched(GetParam().base, json::parse(GetParam().patch)); });
  expect_mentions(message, "config.json");
  expect_mentions(message, GetParam().mention);
}

const json gpt2 = test::hf_gpt2().config;
const json llama = test::hf_llama().config;

INSTANTIATE_TEST_SUITE_P(
    Options, RefusedHfConfig,
    testing::Values(
        Refused{"Family", llama, R"({"model_type": "mamba"})", "mamba"},
        Refused{"NoFamily", llama, R"({"model_type": null})", "model_type"},
        Refused{"Relu", gpt2, R"({"activation_function": "relu"})", "activation_function"},
        Refused{"Scale", gpt2, R"({"scale_attn_weights": false})", "scale_attn_weights"},
        Refused{"LayerScale", gpt2, R"({"scale_attn_by_inverse_layer_idx": true})", "inverse"},
        Refused{"Cross", gpt2, R"({"add_cross_attention": true})", "add_cross_attention"},
        Refused{"Act", llama, R"({"hidden_act": "gelu"})", "hidden_act"},
        Refused{"Bias", llama, R"({"attention_bias": true})", "attention_bias"},
        Refused{"MlpBias", llama, R"({"mlp_bias": true})", "mlp_bias"},
        Refused{"Scaling", llama, R"({"rope_scaling": {"rope_type": "llama3"}})", "rope_scaling"},
        Refused{"OldScaling", llama, R"({"rope_scaling": {"type": "linear"}})", "rope_scaling"},
        Refused{"Yarn", llama, R"({"rope_parameters": {"rope_type": "yarn"}})", "rope_parameters"},
        Refused{"Partial", llama, R"({"partial_rotary_factor": 0.5})", "partial_rotary_factor"},
        Refused{"Quantized", llama, R"({"quantization_config": {"bits": 4}})", "quantization"}),
    [](const auto& row) { return row.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Numbers, RefusedHfConfig,
    testing::Values(
        Refused{"NoWidth", llama, R"({"hidden_size": null})", "hidden_size"},
        Refused{"ZeroHeads", llama, R"({"num_attention_heads": 0})", "num_attention_heads"},
        Refused{"Negative", gpt2, R"({"n_layer": -1})", "n_layer"},
        Refused{"Fraction", gpt2, R"({"n_layer": 2.5})", "n_layer"},
        Refused{"Text", gpt2, R"({"n_embd": "24"})", "n_embd"},
        Refused{"HugeVocab", gpt2, R"({"vocab_size": 1099511627776})", "vocab"},
        Refused{"HugeLayers", llama, R"({"num_hidden_layers": 1000000000})", "layers"},
        Refused{"HugeWidth", gpt2, R"({"n_embd": 6917529027641081856})", "width"},
        Refused{"HugeHeads", llama, R"({"num_attention_heads": 16777216, "head_dim": 16777216})",
                "heads * head_dim"},
        Refused{"NoGroups", llama, R"({"num_key_value_heads": 0})", "kv_heads"},
        Refused{"Groups", llama, R"({"num_key_value_heads": 3})", "kv_heads"},
        Refused{"OddHead", llama, R"({"head_dim": 7})", "head_dim"},
        Refused{"UnevenHeads", gpt2, R"({"n_head": 5})", "heads"},
        Refused{"ZeroEps", llama, R"({"rms_norm_eps": 0})", "norm_eps"},
        Refused{"HugeEps", llama, R"({"rms_norm_eps": 1e300})", "rms_norm_eps"},
        Refused{"Theta", llama, R"({"rope_theta": -1})", "rope_theta"},
        Refused{"ThetaText", llama, R"({"rope_parameters": {"rope_theta": "1"}})", "rope_theta"},
        Refused{"RopeList", llama, R"({"rope_parameters": []})", "rope_parameters"},
        Refused{"Tie", llama, R"({"tie_word_embeddings": 1})", "tie_word_embeddings"}),
    [](const auto& row) { return row.param.name; });

TEST(HfConfig, RefusesDamagedText) {
  const ScratchDirectory scratch;
  const std::string text = test::hf_llama().config.dump();
  for (const std::string& damaged :
       {std::string(), std::string("[]"), text.substr(0, text.size() / 2), text + "}",
        "{\"model_type\": \"llama\", " + text.substr(1)}) {
    const io::Path path = scratch.write("config.json", damaged);
    expect_mentions(message_of<CheckpointError>([&] { read_hf_config(path); }), "config.json");
  }
}

TEST(HfConfig, WritesWhatItReads) {
  const ScratchDirectory scratch;
  ModelConfig odd = test::tiny_llama();
  odd.norm_eps = 1.2345678e-6f;
  odd.rope_theta = 123456.7f;
  odd.tie = true;
  ModelConfig erf = test::tiny_gpt2();
  erf.gelu = op::Gelu::erf;
  for (const ModelConfig& config : {test::tiny_gpt2(), test::tiny_llama(), odd, erf}) {
    const std::string text = hf_config_text(config, {.dtype = Dtype::bf16, .end_of_text = 3});
    EXPECT_EQ(describe(read_hf_config(scratch.write("config.json", text))), describe(config));
  }
}

TEST(HfConfig, WritesWhatTransformersNeeds) {
  const json root =
      json::parse(hf_config_text(test::tiny_llama(), {.dtype = Dtype::bf16, .end_of_text = 3}));
  EXPECT_EQ(root["architectures"][0], "LlamaForCausalLM");
  EXPECT_EQ(root["torch_dtype"], "bfloat16");
  EXPECT_EQ(root["dtype"], "bfloat16");
  EXPECT_EQ(root["rope_theta"], 10000.0);
  EXPECT_EQ(root["rope_parameters"]["rope_theta"], 10000.0);
  EXPECT_TRUE(root["rope_theta"].is_number_float());
  EXPECT_EQ(root["rms_norm_eps"], 1e-5);
  EXPECT_EQ(root["eos_token_id"], 3);
  const json none = json::parse(hf_config_text(test::tiny_gpt2(), {}));
  EXPECT_EQ(none["architectures"][0], "GPT2LMHeadModel");
  EXPECT_EQ(none["torch_dtype"], "float32");
  EXPECT_TRUE(none["eos_token_id"].is_null());
}

}  // namespace
}  // namespace motley
