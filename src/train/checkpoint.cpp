#include "train/checkpoint.h"

#include <fmt/format.h>

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "dist/agree.h"
#include "tensor/error.h"
#include "tensor/safetensors.h"
#include "train/checkpoint_files.h"

namespace motley {
namespace {

std::string state_name(std::string_view state, const Param& param) {
  return fmt::format("{}.{}", state, param.spec.name);
}

std::vector<ParamSpec> specs_of(const ParamStore& params) {
  std::vector<ParamSpec> specs;
  for (const Param& param : params.params()) specs.push_back(param.spec);
  return specs;
}

std::vector<SafetensorsTensor> optimizer_tensors(TrainStep& train) {
  std::vector<SafetensorsTensor> tensors;
  for (const std::string_view state : train.optimizer().state_names()) {
    const auto more = tensors_of(specs_of(train.params()), fmt::format("{}.", state));
    tensors.insert(tensors.end(), more.begin(), more.end());
  }
  return tensors;
}

/// The part of a bucket's values that is one parameter.
std::span<const float> part_of(std::span<const float> bucket, const Param& param) {
  return bucket.subspan(param.offset, param.spec.shape.size());
}

/// Rank 0's side of a save. The collectives in between must go on when the disk fails, so the first
/// error is kept and everything after it skipped; finish() throws it where all ranks can agree on
/// it.
class Writer {
 public:
  template <class F>
  void attempt(F&& write) {
    if (failure_) return;
    try {
      write();
    } catch (const std::exception&) {
      failure_ = std::current_exception();
    }
  }
  void finish() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  std::exception_ptr failure_;
};

void write_model(TrainStep& train, const io::Path& path) {
  SafetensorsWriter file(path, tensors_of(specs_of(train.params())));
  for (const Param& param : train.params().params()) {
    std::vector<float> values(param.spec.shape.size());
    train.device().stream().read<float>(values, param.value);
    file.write(param.spec.name, std::as_bytes(std::span<const float>(values)));
  }
  file.finish();
}

/// Every rank's shard of one state of one bucket, together.
std::vector<float> gather_state(TrainStep& train, std::size_t bucket, std::size_t index) {
  const Range owned = train.optimizer().owned(bucket);
  std::vector<float> values(train.params().buckets()[bucket].values.size());
  const std::span<float> mine = std::span(values).subspan(owned.begin, owned.size());
  train.device().stream().read(mine, train.optimizer().state(bucket, index));
  train.comm().all_gather_shards(std::span<float>(values), train.reducer().shards(bucket));
  return values;
}

void write_optimizer(TrainStep& train, Writer& writer, const io::Path& path) {
  const bool writes = train.comm().rank() == 0;
  std::optional<SafetensorsWriter> file;
  if (writes) writer.attempt([&] { file.emplace(path, optimizer_tensors(train)); });
  const auto states = train.optimizer().state_names();
  for (std::size_t bucket = 0; bucket < train.params().buckets().size(); ++bucket) {
    for (std::size_t index = 0; index < states.size(); ++index) {
      const std::vector<float> values = gather_state(train, bucket, index);
      if (!writes) continue;
      for (const Param& param : train.params().params()) {
        if (param.bucket != bucket) continue;
        writer.attempt([&] {
          file->write(state_name(states[index], param), std::as_bytes(part_of(values, param)));
        });
      }
    }
  }
  if (writes) writer.attempt([&] { file->finish(); });
}

/// One bucket of a file on rank 0, then on all ranks.
std::vector<float> load_bucket(TrainStep& train, std::size_t bucket,
                               const std::optional<SafetensorsReader>& file,
                               const std::function<std::string(const Param&)>& name_of) {
  std::vector<float> values(train.params().buckets()[bucket].values.size(), 0.0f);
  agree(train.comm(), "loading a checkpoint", [&] {
    if (!file) return;
    for (const Param& param : train.params().params()) {
      if (param.bucket != bucket) continue;
      const auto place = std::span(values).subspan(param.offset, param.spec.shape.size());
      read_like(*file, name_of(param), param.spec, place);
    }
  });
  train.comm().broadcast(std::as_writable_bytes(std::span(values)), 0);
  return values;
}

}  // namespace

io::Path save_checkpoint(TrainStep& train, const io::Path& ckpt,
                         const CheckpointContents& contents) {
  const bool writes = train.comm().rank() == 0;
  Writer writer;
  std::optional<CheckpointDraft> draft;
  if (writes) {
    writer.attempt([&] { draft.emplace(ckpt, contents.state.progress.step); });
    writer.attempt([&] { write_model(train, draft->path() / checkpoint_files::model); });
    writer.attempt([&] { contents.state.write(draft->path()); });
    writer.attempt([&] {
      io::write_text_atomically(draft->path() / checkpoint_files::config, contents.config_toml);
    });
    writer.attempt([&] {
      if (contents.tokenizer.empty()) return;
      io::write_text_atomically(draft->path() / checkpoint_files::tokenizer,
                                io::read_text(contents.tokenizer));
    });
  }
  write_optimizer(train, writer, draft ? draft->path() / checkpoint_files::optimizer : io::Path());
  agree(train.comm(), "saving a checkpoint", [&] {
    writer.finish();
    if (writes) draft->commit();
  });
  return ckpt / checkpoint_name(contents.state.progress.step);
}

void load_checkpoint(TrainStep& train, const io::Path& checkpoint) {
  const bool reads = train.comm().rank() == 0;
  std::optional<SafetensorsReader> model;
  std::optional<SafetensorsReader> optimizer;
  agree(train.comm(), "loading a checkpoint", [&] {
    if (!reads) return;
    verify_checkpoint(checkpoint);
    model = open_tensors(checkpoint, checkpoint_files::model, tensors_of(specs_of(train.params())));
    optimizer = open_tensors(checkpoint, checkpoint_files::optimizer, optimizer_tensors(train));
  });
  Stream& s = train.device().stream();
  const auto states = train.optimizer().state_names();
  for (std::size_t bucket = 0; bucket < train.params().buckets().size(); ++bucket) {
    const std::vector<float> values =
        load_bucket(train, bucket, model, [](const Param& param) { return param.spec.name; });
    s.write<float>(train.params().buckets()[bucket].values, values);
    for (std::size_t index = 0; index < states.size(); ++index) {
      const std::vector<float> state =
          load_bucket(train, bucket, optimizer,
                      [&](const Param& param) { return state_name(states[index], param); });
      const Range owned = train.optimizer().owned(bucket);
      s.write<float>(train.optimizer().state(bucket, index),
                     std::span(state).subspan(owned.begin, owned.size()));
    }
  }
}

}  // namespace motley
