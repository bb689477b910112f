// What a training run opens before its first step: data, model shape, starting weights. Everything
// here is collective, and a failure on one rank is the same failure on all.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "model/weight_source.h"
#include "train/checkpoint_state.h"
#include "train/dataset.h"
#include "train/run_directory.h"
#include "train/settings.h"
#include "train/tokenizer.h"
#include "train/train_step.h"

namespace motley {

/// The data of a run.
struct TrainData {
  Dataset train;
  std::optional<Dataset> validation;
  std::optional<Tokenizer> tokenizer;  // none when the data are a bare shard
  io::Path tokenizer_file;
};

/// Opens the data on every rank and checks that all ranks see the same, and that the tokenizer is
/// the data's. A bare shard, whose hash nothing else knows, is then read once by every rank.
TrainData open_train_data(Communicator& comm, const DataSettings& settings);

/// Where a run starts: its model's shape, and what to load.
struct StartingPoint {
  ModelConfig model;
  TrainProgress progress;                          // zero for a new run
  io::Path resume_from;                            // a checkpoint, on rank 0; empty for a new run
  std::optional<std::vector<KindPlans>> products;  // of that checkpoint, on rank 0
  std::unique_ptr<WeightSource> weights;           // of train.init_from, on rank 0; null without
};

/// Finds the checkpoint to resume from, the weights to start from, or the shape to make anew. Rank
/// 0 alone looks at the disk.
StartingPoint find_start(Communicator& comm, const Settings& settings, const RunDirectory& run,
                         const TrainData& data);

/// Fills the parameters, and on resume the optimizer's state.
void load_start(TrainStep& train, const StartingPoint& start, std::uint64_t seed);

}  // namespace motley
