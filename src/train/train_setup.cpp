#include "train/train_setup.h"

#include <fmt/format.h>

#include "dist/agree.h"
#include "tensor/error.h"
#include "tensor/hash.h"
#include "tensor/log.h"
#include "train/checkpoint.h"
#include "train/checkpoint_weights.h"

namespace motley {
namespace {

/// A text that differs when the data do.
std::string describe_data(const TrainData& data) {
  std::string text = fmt::format("tokens: {}\n", data.train.num_tokens());
  if (!data.train.manifest()) {
    return text + fmt::format("hash: {}\n", hash_of_file(data.train.shard(0).path()));
  }
  for (const Split split : {Split::train, Split::validation}) {
    for (const ManifestShard& shard : data.train.manifest()->split(split).shards) {
      text += fmt::format("{} {}\n", shard.file, shard.hash);
    }
  }
  return text;
}

/// The tokens a model for these data must know.
std::size_t data_vocabulary(const Dataset& data, const ModelSettings& settings) {
  if (const auto size = data.vocab_size()) return *size;
  require<ConfigError>(
      settings.vocab > 0, "model.vocab",
      "the data are a bare token file, which does not say its vocabulary; set model.vocab");
  return settings.vocab;
}

/// Copies a plain structure of rank 0 to all ranks, which run the same program.
template <class T>
void share(Communicator& comm, T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  comm.broadcast(std::as_writable_bytes(std::span(&value, 1)), 0);
}

void check_vocabulary(const ModelConfig& model, const Dataset& data) {
  const auto size = data.vocab_size();
  require<ConfigError>(
      !size || *size <= model.vocab, "model.vocab",
      "the data use {} tokens, the model knows {}; prepare the data with the model's tokenizer",
      size.value_or(0), model.vocab);
}

}  // namespace

TrainData open_train_data(Communicator& comm, const DataSettings& settings) {
  const Verify verify = settings.verify ? Verify::hashes : Verify::sizes;
  TrainData data = agree(comm, "opening the data", [&] {
    TrainData opened{
        Dataset::open(settings.path, Split::train, verify), std::nullopt, std::nullopt, {}};
    if (const auto& manifest = opened.train.manifest()) {
      opened.tokenizer = manifest->load_tokenizer(settings.path);
      opened.tokenizer_file = io::Path(settings.path) / manifest->tokenizer_file;
      if (!manifest->validation.shards.empty()) {
        opened.validation = Dataset::open(settings.path, Split::validation, verify);
      }
    }
    return opened;
  });
  if (comm.size() == 1) return data;
  const std::string text = agree(comm, "reading the data", [&] { return describe_data(data); });
  same_on_all(comm, "the data set", text);
  return data;
}

StartingPoint find_start(Communicator& comm, const Settings& settings, const RunDirectory& run,
                         const TrainData& data) {
  StartingPoint start;
  agree(comm, "finding where to start", [&] {
    if (comm.rank() != 0) return;
    if (settings.train.resume) {
      require<ConfigError>(!checkpoint_steps(run.checkpoints()).empty(), "run.none",
                           "{} holds a run that saved no checkpoint, so there is nothing to "
                           "resume\n  use --overwrite to begin it anew",
                           run.root().string());
      start.resume_from = find_checkpoint(run.root());
      const CheckpointState state = CheckpointState::read(start.resume_from);
      require<CheckpointError>(
          state.optimizer == settings.optim.name, "ckpt.optimizer",
          "{} was trained with {}, optim.name is {}; they must be equal to resume",
          start.resume_from.string(), state.optimizer, settings.optim.name);
      start.model = state.model;
      start.progress = state.progress;
      start.products = state.products;
    } else if (!settings.train.init_from.empty()) {
      start.weights = open_weights(settings.train.init_from);
      start.model = start.weights->config();
    } else {
      start.model = model_config(settings.model, data_vocabulary(data.train, settings.model));
    }
    start.model.validate();
    check_vocabulary(start.model, data.train);
  });
  share(comm, start.model);
  share(comm, start.progress);
  return start;
}

void load_start(TrainStep& train, const StartingPoint& start, std::uint64_t seed) {
  const bool resumes = train.comm().all_reduce_max(start.resume_from.empty() ? 0 : 1) > 0;
  const bool has_weights = train.comm().all_reduce_max(start.weights ? 1 : 0) > 0;
  if (resumes) {
    load_checkpoint(train, start.resume_from);
  } else if (has_weights) {
    train.set_parameters(
        "loading the starting weights",
        [&](const ParamSpec& spec, std::span<float> values) { start.weights->read(spec, values); });
  } else {
    train.initialize(seed);
  }
}

}  // namespace motley
