#include "model/hf_config.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tensor/error.h"
#include "tensor/json.h"

namespace motley {
namespace {

using Json = nlohmann::ordered_json;

std::size_t size_or(const json::Value& root, const char* key, std::size_t fallback) {
  const auto value = root.find(key);
  return value ? value->as_size() : fallback;
}

float number_or(const json::Value& root, const char* key, float fallback) {
  const auto value = root.find(key);
  return value ? value->as_float() : fallback;
}

bool flag_or(const json::Value& root, const char* key, bool fallback) {
  const auto value = root.find(key);
  return value ? value->as_bool() : fallback;
}

/// Throws when a switch stands otherwise than this program computes. Absent means `needed`.
void require_flag(const json::Value& root, const char* key, bool needed) {
  const auto value = root.find(key);
  if (value && value->as_bool() != needed) {
    value->refuse(fmt::format("is {}; this program supports {} only", !needed, needed));
  }
}

/// Throws when something is configured that this program does not have.
void require_absent(const json::Value& root, const char* key) {
  const auto value = root.find(key);
  if (value) value->refuse("is set; this program supports models without it");
}

void require_text(const json::Value& root, const char* key,
                  std::initializer_list<std::string_view> known) {
  const auto value = root.find(key);
  if (!value) return;
  for (const std::string_view name : known) {
    if (value->as_string() == name) return;
  }
  value->refuse(
      fmt::format("is '{}'; this program supports {}", value->as_string(), fmt::join(known, ", ")));
}

ModelConfig read_gpt2(const json::Value& root) {
  require_text(root, "activation_function", {"gelu_new", "gelu_pytorch_tanh", "gelu"});
  require_flag(root, "scale_attn_weights", true);
  require_flag(root, "scale_attn_by_inverse_layer_idx", false);
  require_flag(root, "add_cross_attention", false);
  ModelConfig m;
  m.family = Family::gpt2;
  const auto activation = root.find("activation_function");
  if (activation && activation->as_string() == "gelu") m.gelu = op::Gelu::erf;
  m.vocab = root.get("vocab_size").as_size();
  m.context = root.get("n_positions").as_size();
  m.width = root.get("n_embd").as_size();
  m.layers = root.get("n_layer").as_size();
  m.heads = root.get("n_head").as_size(1);
  m.kv_heads = m.heads;
  m.head_dim = m.width / m.heads;
  m.mlp_width = size_or(root, "n_inner", 4 * m.width);
  m.tie = flag_or(root, "tie_word_embeddings", true);
  m.norm_eps = number_or(root, "layer_norm_epsilon", 1e-5f);
  m.init_std = number_or(root, "initializer_range", 0.02f);
  return m;
}

/// Throws for positions that are scaled, or that turn a part of each head only.
void require_plain_rope(const json::Value& object) {
  // Older files say "type" for "rope_type".
  require_text(object, "rope_type", {"default"});
  require_text(object, "type", {"default"});
  const auto factor = object.find("partial_rotary_factor");
  if (factor && factor->as_double() != 1.0)
    factor->refuse("is not 1; this program turns whole heads only");
}

/// rope_theta, wherever it is: at the top, or since transformers 5 in rope_parameters, which wins.
float read_rope_theta(const json::Value& root) {
  float theta = number_or(root, "rope_theta", 10000.0f);
  require_plain_rope(root);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (const auto rope = root.find(key)) {
      require_plain_rope(*rope);
      theta = number_or(*rope, "rope_theta", theta);
    }
  }
  return theta;
}

ModelConfig read_llama(const json::Value& root) {
  require_text(root, "hidden_act", {"silu"});
  require_flag(root, "attention_bias", false);
  require_flag(root, "mlp_bias", false);
  ModelConfig m;
  m.family = Family::llama;
  m.vocab = root.get("vocab_size").as_size();
  m.context = root.get("max_position_embeddings").as_size();
  m.width = root.get("hidden_size").as_size();
  m.layers = root.get("num_hidden_layers").as_size();
  m.heads = root.get("num_attention_heads").as_size(1);
  m.kv_heads = size_or(root, "num_key_value_heads", m.heads);
  m.head_dim = size_or(root, "head_dim", m.width / m.heads);
  m.mlp_width = root.get("intermediate_size").as_size();
  m.tie = flag_or(root, "tie_word_embeddings", false);
  m.norm_eps = number_or(root, "rms_norm_eps", 1e-6f);
  m.rope_theta = read_rope_theta(root);
  m.init_std = number_or(root, "initializer_range", 0.02f);
  return m;
}

/// Floats as short decimal numbers: 1e-05 rather than 9.999999747378752e-06, and 10000.0 rather
/// than the integer 10000.
double shortest(float value) {
  return Json::parse(fmt::format("{}", value)).get<double>();
}

Json gpt2_json(const ModelConfig& m) {
  return {{"model_type", "gpt2"},
          {"architectures", {"GPT2LMHeadModel"}},
          {"vocab_size", m.vocab},
          {"n_positions", m.context},
          {"n_ctx", m.context},
          {"n_embd", m.width},
          {"n_layer", m.layers},
          {"n_head", m.heads},
          {"n_inner", m.mlp_width},
          {"activation_function", m.gelu == op::Gelu::erf ? "gelu" : "gelu_new"},
          {"layer_norm_epsilon", shortest(m.norm_eps)},
          {"attn_pdrop", 0.0},
          {"embd_pdrop", 0.0},
          {"resid_pdrop", 0.0},
          {"scale_attn_weights", true}};
}

Json llama_json(const ModelConfig& m) {
  return {{"model_type", "llama"},
          {"architectures", {"LlamaForCausalLM"}},
          {"vocab_size", m.vocab},
          {"max_position_embeddings", m.context},
          {"hidden_size", m.width},
          {"intermediate_size", m.mlp_width},
          {"num_hidden_layers", m.layers},
          {"num_attention_heads", m.heads},
          {"num_key_value_heads", m.kv_heads},
          {"head_dim", m.head_dim},
          {"hidden_act", "silu"},
          {"rms_norm_eps", shortest(m.norm_eps)},
          {"rope_theta", shortest(m.rope_theta)},
          {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", shortest(m.rope_theta)}}},
          {"attention_bias", false},
          {"mlp_bias", false}};
}

std::string torch_name(Dtype dtype) {
  if (dtype == Dtype::f16) return "float16";
  return dtype == Dtype::bf16 ? "bfloat16" : "float32";
}

}  // namespace

ModelConfig read_hf_config(const io::Path& path) {
  const json::Value root = json::read(path, json::Kind::checkpoint);
  const json::Value type = root.get("model_type");
  require_absent(root, "quantization_config");
  try {
    ModelConfig config;
    if (type.as_string() == "gpt2") {
      config = read_gpt2(root);
    } else if (type.as_string() == "llama") {
      config = read_llama(root);
    } else {
      type.refuse(fmt::format("is '{}'; this program imports gpt2 and llama", type.as_string()));
    }
    config.validate();
    return config;
  } catch (const ConfigError& e) {
    root.refuse(fmt::format("describes a model that cannot be: {}", e.what()));
  }
}

std::string hf_config_text(const ModelConfig& config, const HfConfigExtras& extras) {
  Json root = config.family == Family::gpt2 ? gpt2_json(config) : llama_json(config);
  root["initializer_range"] = shortest(config.init_std);
  root["tie_word_embeddings"] = config.tie;
  // transformers 4 reads torch_dtype, 5 reads dtype.
  root["torch_dtype"] = torch_name(extras.dtype);
  root["dtype"] = torch_name(extras.dtype);
  root["use_cache"] = true;
  for (const char* key : {"bos_token_id", "eos_token_id"}) {
    if (extras.end_of_text)
      root[key] = *extras.end_of_text;
    else
      root[key] = nullptr;
  }
  return root.dump(2) + "\n";
}

}  // namespace motley
