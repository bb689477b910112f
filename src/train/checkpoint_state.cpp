#include "train/checkpoint_state.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "tensor/error.h"
#include "tensor/json.h"
#include "train/checkpoint_directory.h"
#include "train/checkpoint_files.h"

namespace motley {
namespace {

using Json = nlohmann::ordered_json;

Json model_to_json(const ModelConfig& m) {
  return {{"family", std::string(m.traits().name)},
          {"vocab", m.vocab},
          {"context", m.context},
          {"layers", m.layers},
          {"width", m.width},
          {"heads", m.heads},
          {"kv_heads", m.kv_heads},
          {"head_dim", m.head_dim},
          {"mlp_width", m.mlp_width},
          {"tie", m.tie},
          {"norm_eps", m.norm_eps},
          {"rope_theta", m.rope_theta},
          {"gelu", m.gelu == op::Gelu::erf ? "erf" : "tanh"},
          {"init_std", m.init_std}};
}

op::Gelu gelu_from_json(const json::Value& value) {
  if (value.as_string() == "tanh") return op::Gelu::tanh;
  if (value.as_string() != "erf") value.refuse("must be tanh or erf");
  return op::Gelu::erf;
}

ModelConfig model_from_json(const json::Value& object) {
  ModelConfig m;
  try {
    m.family = family_from(object.get("family").as_string());
    m.vocab = object.get("vocab").as_size();
    m.context = object.get("context").as_size();
    m.layers = object.get("layers").as_size();
    m.width = object.get("width").as_size();
    m.heads = object.get("heads").as_size();
    m.kv_heads = object.get("kv_heads").as_size();
    m.head_dim = object.get("head_dim").as_size();
    m.mlp_width = object.get("mlp_width").as_size();
    m.tie = object.get("tie").as_bool();
    m.norm_eps = object.get("norm_eps").as_float();
    m.rope_theta = object.get("rope_theta").as_float();
    m.gelu = gelu_from_json(object.get("gelu"));
    m.init_std = object.get("init_std").as_float();
    m.validate();
  } catch (const ConfigError& e) {
    object.refuse(fmt::format("describes a model that cannot be: {}", e.what()));
  }
  return m;
}

Json to_json(const LossScale& scale) {
  return {{"scale", scale.scale}, {"good_steps", scale.good_steps}, {"skipped", scale.skipped}};
}

LossScale loss_scale_from_json(const json::Value& object) {
  LossScale scale;
  scale.scale = object.get("scale").as_float();
  scale.good_steps = object.get("good_steps").as_size();
  scale.skipped = object.get("skipped").as_size();
  int exponent = 0;
  if (!(scale.scale >= 1) || std::frexp(scale.scale, &exponent) != 0.5f)
    object.get("scale").refuse("must be a power of two");
  return scale;
}

}  // namespace

void CheckpointState::write(const io::Path& checkpoint) const {
  Json root{{"format", format_version},
            {"step", progress.step},
            {"tokens", progress.tokens},
            {"seconds", progress.seconds},
            {"best_loss", nullptr},
            {"evaluations_without_gain", progress.evaluations_without_gain},
            {"optimizer", optimizer},
            {"device", device},
            {"products", to_json(products)},
            {"model", model_to_json(model)}};
  if (progress.best_loss) root["best_loss"] = *progress.best_loss;
  if (progress.loss_scale) root["loss_scale"] = to_json(*progress.loss_scale);
  io::File file = io::File::create(checkpoint / checkpoint_files::state);
  file.write(root.dump(2) + "\n");
  file.sync();
  file.close();
}

CheckpointState CheckpointState::read(const io::Path& checkpoint) {
  verify_checkpoint_file(checkpoint, checkpoint_files::state);
  const json::Value root = json::read(checkpoint / checkpoint_files::state, json::Kind::checkpoint);
  const std::size_t format = root.get("format").as_size();
  if (format != format_version) {
    root.refuse(fmt::format("has format {}; this program reads {}", format, format_version));
  }
  CheckpointState state;
  state.progress.step = root.get("step").as_size();
  state.progress.tokens = root.get("tokens").as_size();
  state.progress.seconds = root.get("seconds").as_double();
  if (const auto best = root.find("best_loss")) state.progress.best_loss = best->as_double();
  state.progress.evaluations_without_gain = root.get("evaluations_without_gain").as_size();
  if (const auto scale = root.find("loss_scale"))
    state.progress.loss_scale = loss_scale_from_json(*scale);
  state.optimizer = root.get("optimizer").as_string();
  state.device = root.get("device").as_string();
  // Checkpoints of the first versions have none.
  if (const auto products = root.find("products")) state.products = kinds_from_json(*products);
  state.model = model_from_json(root.get("model"));
  return state;
}

}  // namespace motley
