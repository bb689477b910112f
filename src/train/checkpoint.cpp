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

constexpr std::string_view loading = "loading a checkpoint";

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

std::vector<float> zeros_of(const ParamLayout::Block& block) {
  return std::vector<float>(block.end - block.begin, 0.0f);
}

/// Where a parameter lies in its block.
std::size_t offset_in_block(TrainStep& train, const Param& param) {
  return param.offset - train.params().layout().blocks[param.block].begin;
}

/// A block of which each rank has its shards, together. `read`: this rank's of a bucket.
std::vector<float> gather_block(TrainStep& train, std::size_t block,
                                const std::function<std::vector<float>(std::size_t)>& read) {
  const ParamLayout& layout = train.params().layout();
  const std::size_t begin = layout.blocks[block].begin;
  std::vector<float> values = zeros_of(layout.blocks[block]);
  for (std::size_t bucket = 0; bucket < layout.buckets.size(); ++bucket) {
    if (layout.buckets[bucket].block != block) continue;
    std::vector<Range> shards = train.reducer().shards(bucket);
    for (Range& shard : shards) shard = {shard.begin - begin, shard.end - begin};
    const Range owned = shards[static_cast<std::size_t>(train.comm().rank())];
    std::ranges::copy(read(bucket), values.begin() + static_cast<std::ptrdiff_t>(owned.begin));
    train.comm().all_gather_shards(std::span<float>(values), shards);
  }
  return values;
}

std::vector<float> gather_state(TrainStep& train, std::size_t block, std::size_t index) {
  return gather_block(train, block, [&](std::size_t bucket) {
    std::vector<float> state(train.optimizer().owned(bucket).size());
    train.device().stream().read<float>(state, train.optimizer().state(bucket, index));
    return state;
  });
}

/// On rank 0; others may have nothing to say.
std::vector<float> gather_weights(TrainStep& train, std::size_t block) {
  Stream& s = train.device().stream();
  const bool all_have_all = train.params().dtype() == Dtype::f32;
  if (!all_have_all) {
    return gather_block(train, block,
                        [&](std::size_t bucket) { return train.optimizer().weights(s, bucket); });
  }
  if (train.comm().rank() != 0) return {};
  std::vector<float> values = zeros_of(train.params().layout().blocks[block]);
  s.read<float>(values, train.params().block_values(block));
  return values;
}

/// Writes the parameters of a block, or a state of them, from rank 0's values.
void write_block(TrainStep& train, Writer& writer, std::optional<SafetensorsWriter>& file,
                 std::size_t block, std::span<const float> values,
                 const std::function<std::string(const Param&)>& name_of) {
  if (train.comm().rank() != 0) return;
  for (const Param& param : train.params().params()) {
    if (param.block != block) continue;
    const auto part = values.subspan(offset_in_block(train, param), param.spec.shape.size());
    writer.attempt([&] { file->write(name_of(param), std::as_bytes(part)); });
    train.comm().recorder().renew();
  }
}

void write_model(TrainStep& train, Writer& writer, const io::Path& path) {
  const bool writes = train.comm().rank() == 0;
  std::optional<SafetensorsWriter> file;
  if (writes) writer.attempt([&] { file.emplace(path, tensors_of(specs_of(train.params()))); });
  for (std::size_t block = 0; block < train.params().layout().blocks.size(); ++block) {
    write_block(train, writer, file, block, gather_weights(train, block),
                [](const Param& param) { return param.spec.name; });
  }
  if (writes) writer.attempt([&] { file->finish(); });
}

void write_optimizer(TrainStep& train, Writer& writer, const io::Path& path) {
  const bool writes = train.comm().rank() == 0;
  std::optional<SafetensorsWriter> file;
  if (writes) writer.attempt([&] { file.emplace(path, optimizer_tensors(train)); });
  const auto states = train.optimizer().state_names();
  for (std::size_t block = 0; block < train.params().layout().blocks.size(); ++block) {
    for (std::size_t index = 0; index < states.size(); ++index) {
      write_block(train, writer, file, block, gather_state(train, block, index),
                  [&](const Param& param) { return state_name(states[index], param); });
    }
  }
  if (writes) writer.attempt([&] { file->finish(); });
}

/// One block of a file on rank 0, then on all ranks.
std::vector<float> load_block(TrainStep& train, std::size_t block,
                              const std::optional<SafetensorsReader>& file,
                              const std::function<std::string(const Param&)>& name_of) {
  std::vector<float> values = zeros_of(train.params().layout().blocks[block]);
  agree(train.comm(), loading, [&] {
    if (!file) return;
    for (const Param& param : train.params().params()) {
      if (param.block != block) continue;
      const auto place =
          std::span(values).subspan(offset_in_block(train, param), param.spec.shape.size());
      read_like(*file, name_of(param), param.spec, place);
      train.comm().recorder().renew();
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
  const auto path_of = [&](std::string_view file) {
    return draft ? draft->path() / file : io::Path();
  };
  write_model(train, writer, path_of(checkpoint_files::model));
  write_optimizer(train, writer, path_of(checkpoint_files::optimizer));
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
  agree(train.comm(), loading, [&] {
    if (!reads) return;
    verify_checkpoint(checkpoint);
    model = open_tensors(checkpoint, checkpoint_files::model, tensors_of(specs_of(train.params())));
    optimizer = open_tensors(checkpoint, checkpoint_files::optimizer, optimizer_tensors(train));
  });
  train.set_parameters(loading, [&](const ParamSpec& spec, std::span<float> values) {
    read_like(*model, spec.name, spec, values);
  });
  Stream& s = train.device().stream();
  const auto states = train.optimizer().state_names();
  const ParamLayout& layout = train.params().layout();
  for (std::size_t block = 0; block < layout.blocks.size(); ++block) {
    for (std::size_t index = 0; index < states.size(); ++index) {
      const std::vector<float> state = load_block(train, block, optimizer, [&](const Param& param) {
        return state_name(states[index], param);
      });
      for (std::size_t bucket = 0; bucket < layout.buckets.size(); ++bucket) {
        if (layout.buckets[bucket].block != block) continue;
        const Range owned = train.optimizer().owned(bucket);
        s.write<float>(
            train.optimizer().state(bucket, index),
            std::span(state).subspan(owned.begin - layout.blocks[block].begin, owned.size()));
      }
    }
  }
}

}  // namespace motley
