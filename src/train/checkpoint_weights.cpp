#include "train/checkpoint_weights.h"

#include <vector>

#include "model/hf_weights.h"
#include "tensor/error.h"
#include "train/checkpoint_directory.h"
#include "train/checkpoint_files.h"

namespace motley {

CheckpointWeights CheckpointWeights::open(const io::Path& checkpoint) {
  verify_checkpoint(checkpoint);
  CheckpointState state = CheckpointState::read(checkpoint / checkpoint_files::state);
  SafetensorsReader file = SafetensorsReader::open(checkpoint / checkpoint_files::model);
  check_num_tensors(file, parameter_specs(state.model).size());
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
  CheckpointDraft draft(directory / "ckpt", 0);
  const std::vector<ParamSpec> specs = parameter_specs(source.config());
  SafetensorsWriter file(draft.path() / checkpoint_files::model, tensors_of(specs));
  for (const ParamSpec& spec : specs) {
    std::vector<float> values(spec.shape.size());
    source.read(spec, values);
    file.write(spec.name, std::as_bytes(std::span<const float>(values)));
  }
  file.finish();
  CheckpointState state;
  state.model = source.config();
  state.write(draft.path() / checkpoint_files::state);
  if (!source.tokenizer().empty()) {
    io::write_text_atomically(draft.path() / checkpoint_files::tokenizer,
                              io::read_text(source.tokenizer()));
  }
  return draft.commit();
}

}  // namespace motley
