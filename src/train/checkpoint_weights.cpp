#include "train/checkpoint_weights.h"

#include <vector>

#include "model/hf_weights.h"
#include "tensor/draft_directory.h"
#include "tensor/error.h"
#include "tensor/log.h"
#include "train/checkpoint_directory.h"
#include "train/checkpoint_files.h"
#include "train/tokenizer.h"

namespace motley {
namespace {

void write_model(const WeightSource& source, const io::Path& path) {
  const std::vector<ParamSpec> specs = parameter_specs(source.config());
  SafetensorsWriter file(path, tensors_of(specs));
  for (const ParamSpec& spec : specs) {
    std::vector<float> values(spec.shape.size());
    source.read(spec, values);
    file.write(spec.name, std::as_bytes(std::span<const float>(values)));
  }
  file.finish();
}

/// Copies a tokenizer that this program can use. The weights are worth having without one: data can
/// be tokenized elsewhere.
void copy_tokenizer(const WeightSource& source, const io::Path& path) {
  if (source.tokenizer().empty()) return;
  try {
    Tokenizer::load(source.tokenizer()).save(path);
  } catch (const DataError& e) {
    log::warn("the tokenizer is left out: {}", e.what());
  }
}

}  // namespace

CheckpointWeights CheckpointWeights::open(const io::Path& checkpoint) {
  verify_checkpoint(checkpoint);
  CheckpointState state = CheckpointState::read(checkpoint);
  SafetensorsReader file =
      open_tensors(checkpoint, checkpoint_files::model, tensors_of(parameter_specs(state.model)));
  return {checkpoint, std::move(state), std::move(file)};
}

void CheckpointWeights::read(const ParamSpec& spec, std::span<float> values) const {
  read_like(file_, spec.name, spec, values);
}

io::Path CheckpointWeights::tokenizer() const {
  const io::Path path = checkpoint_ / checkpoint_files::tokenizer;
  return io::exists(path) ? path : io::Path();
}

std::unique_ptr<WeightSource> open_weights(const io::Path& path) {
  if (io::exists(path / "config.json")) return std::make_unique<HfWeights>(HfWeights::open(path));
  return std::make_unique<CheckpointWeights>(CheckpointWeights::open(find_checkpoint(path)));
}

io::Path import_weights(const WeightSource& source, const io::Path& directory) {
  require<ConfigError>(!io::exists(directory), "import.exists", "{} exists; give a new directory",
                       directory.string());
  DraftDirectory run(directory, ".motley-draft");
  CheckpointDraft draft(run.path() / "ckpt", 0);
  write_model(source, draft.path() / checkpoint_files::model);
  CheckpointState state;
  state.model = source.config();
  state.write(draft.path());
  copy_tokenizer(source, draft.path() / checkpoint_files::tokenizer);
  draft.commit();
  run.commit();
  return find_checkpoint(run.target());
}

}  // namespace motley
