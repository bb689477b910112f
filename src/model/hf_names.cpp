#include "model/hf_names.h"

#include <array>
#include <string_view>
#include <utility>

#include "tensor/error.h"

namespace motley {
namespace {

using Names = std::pair<std::string_view, std::string_view>;

constexpr std::array<Names, 4> gpt2_top{{
    {"embed", "transformer.wte"},
    {"position", "transformer.wpe"},
    {"final_norm", "transformer.ln_f"},
    {"head", "lm_head"},
}};
constexpr std::array<Names, 6> gpt2_layer{{
    {"norm1", "ln_1"},
    {"attn.qkv", "attn.c_attn"},
    {"attn.out", "attn.c_proj"},
    {"norm2", "ln_2"},
    {"mlp.up", "mlp.c_fc"},
    {"mlp.down", "mlp.c_proj"},
}};
constexpr std::array<Names, 3> llama_top{{
    {"embed", "model.embed_tokens"},
    {"final_norm", "model.norm"},
    {"head", "lm_head"},
}};
constexpr std::array<Names, 4> llama_layer{{
    {"norm1", "input_layernorm"},
    {"attn.out", "self_attn.o_proj"},
    {"norm2", "post_attention_layernorm"},
    {"mlp.down", "mlp.down_proj"},
}};

std::string_view lookup(std::span<const Names> table, std::string_view ours) {
  for (const auto& [from, to] : table) {
    if (from == ours) return to;
  }
  fail<CheckpointError>("hf.name", "no Hugging Face name is known for parameter '{}'", ours);
}

/// "layers.3.attn.qkv.weight" in its parts.
struct NameParts {
  std::string layer;   // "3", or empty outside the blocks
  std::string module;  // "attn.qkv"
  std::string leaf;    // "weight" or "bias"
};

NameParts split(const std::string& name) {
  NameParts parts;
  std::string rest = name;
  const std::string prefix = "layers.";
  if (rest.starts_with(prefix)) {
    const std::size_t dot = rest.find('.', prefix.size());
    parts.layer = rest.substr(prefix.size(), dot - prefix.size());
    rest = rest.substr(dot + 1);
  }
  const std::size_t last = rest.rfind('.');
  parts.module = rest.substr(0, last);
  parts.leaf = rest.substr(last + 1);
  return parts;
}

/// Consecutive row blocks of one parameter, one tensor each.
std::vector<HfPiece> cut(const std::string& prefix, const ParamSpec& spec,
                         std::initializer_list<std::pair<std::string_view, std::size_t>> blocks) {
  std::vector<HfPiece> pieces;
  std::size_t row = 0;
  for (const auto& [module, rows] : blocks) {
    pieces.push_back(
        {prefix + std::string(module) + ".weight", row, rows, spec.shape[1], Layout::out_in});
    row += rows;
  }
  return pieces;
}

HfPiece whole(std::string name, const ParamSpec& spec, Layout layout) {
  const std::size_t columns = spec.shape.rank() == 2 ? spec.shape[1] : 0;
  return {std::move(name), 0, spec.shape[0], columns, layout};
}

std::vector<HfPiece> gpt2_pieces(const ParamSpec& spec, const NameParts& parts) {
  if (parts.layer.empty()) {
    return {whole(std::string(lookup(gpt2_top, parts.module)) + "." + parts.leaf, spec,
                  Layout::out_in)};
  }
  const std::string name = "transformer.h." + parts.layer + "." +
                           std::string(lookup(gpt2_layer, parts.module)) + "." + parts.leaf;
  return {whole(name, spec, spec.shape.rank() == 2 ? Layout::in_out : Layout::out_in)};
}

std::vector<HfPiece> llama_pieces(const ModelConfig& config, const ParamSpec& spec,
                                  const NameParts& parts) {
  if (parts.layer.empty()) {
    return {whole(std::string(lookup(llama_top, parts.module)) + "." + parts.leaf, spec,
                  Layout::out_in)};
  }
  const std::string prefix = "model.layers." + parts.layer + ".";
  if (parts.module == "attn.qkv") {
    const std::size_t kv_rows = config.kv_heads * config.head_dim;
    return cut(prefix, spec,
               {{"self_attn.q_proj", config.heads * config.head_dim},
                {"self_attn.k_proj", kv_rows},
                {"self_attn.v_proj", kv_rows}});
  }
  if (parts.module == "mlp.gate_up") {
    return cut(prefix, spec,
               {{"mlp.gate_proj", config.mlp_width}, {"mlp.up_proj", config.mlp_width}});
  }
  return {whole(prefix + std::string(lookup(llama_layer, parts.module)) + "." + parts.leaf, spec,
                Layout::out_in)};
}

}  // namespace

std::vector<std::size_t> HfPiece::file_shape() const {
  if (num_columns == 0) return {num_rows};
  if (layout == Layout::in_out) return {num_columns, num_rows};
  return {num_rows, num_columns};
}

std::vector<HfPiece> hf_pieces(const ModelConfig& config, const ParamSpec& spec) {
  const NameParts parts = split(spec.name);
  return config.family == Family::gpt2 ? gpt2_pieces(spec, parts)
                                       : llama_pieces(config, spec, parts);
}

bool is_ignorable_hf_tensor(const ModelConfig& config, const std::string& name) {
  if (config.tie && name == hf_head) return true;
  if (config.family == Family::gpt2)
    return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
  return name.ends_with(".rotary_emb.inv_freq");
}

void transpose(std::span<float> out, std::span<const float> in, std::size_t rows,
               std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) out[c * rows + r] = in[r * columns + c];
  }
}

}  // namespace motley
