// Saving and loading everything that training goes on from: weights, optimizer state, progress,
// settings. Nothing in a checkpoint depends on the number of ranks: tensors are whole and logical.
//
//   model.safetensors   parameters by their names, f32
//   optim.safetensors   "m.<parameter>", "v.<parameter>": the optimizer's state
//   state.json          progress, model shape, optimizer, device
//   config.toml         the resolved settings
//   tokenizer.json      of the data, where there is one
#pragma once

#include <string>

#include "dist/communicator.h"
#include "train/checkpoint_directory.h"
#include "train/checkpoint_state.h"
#include "train/train_step.h"

namespace motley {

/// What a checkpoint holds besides tensors.
struct CheckpointContents {
  CheckpointState state;
  std::string config_toml;
  io::Path tokenizer;  // a file to copy; empty: none
};

/// Collective. Writes ckpt/STEP from all owners' shards; rank 0 alone touches the disk. Throws on
/// every rank when it cannot be written; then the older checkpoints are as they were. Returns the
/// path.
io::Path save_checkpoint(TrainStep& train, const io::Path& ckpt,
                         const CheckpointContents& contents);

/// Collective. Verifies the checkpoint on rank 0 and sets parameters and optimizer state on all
/// ranks. Throws CheckpointError on every rank when it is damaged or does not fit the model or the
/// optimizer.
void load_checkpoint(TrainStep& train, const io::Path& checkpoint);

}  // namespace motley
