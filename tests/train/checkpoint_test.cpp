#include "train/checkpoint.h"

#include <gtest/gtest.h>

#include <atomic>

#include "dist/self_comm.h"
#include "dist/thread_comm.h"
#include "tensor/error.h"
#include "tests/scratch_directory.h"
#include "tests/train/tiny_training.h"

namespace motley {
namespace {

using test::device_of;
using test::train_steps;

constexpr std::uint64_t seed = 7;

/// How a run computes, besides its model.
struct Computed {
  const char* optimizer = "adamw";
  Dtype dtype = Dtype::f32;
  bool stochastic_rounding = false;
};

TrainStep make_train(Communicator& comm, const ModelConfig& model, const Computed& by = {}) {
  OptimSettings settings;
  settings.name = by.optimizer;
  settings.stochastic_rounding = by.stochastic_rounding;
  return {device_of(comm.rank()), comm, model, {.dtype = by.dtype}, settings};
}

CheckpointContents contents_at(std::uint64_t step, const ModelConfig& model) {
  CheckpointContents contents;
  contents.state.progress = {.step = step, .tokens = 54 * step};
  contents.state.model = model;
  contents.state.optimizer = "adamw";
  contents.state.device = "any";
  contents.config_toml = "[model]\n";
  return contents;
}

/// All bits that training goes on from, as this rank holds them.
std::vector<std::vector<float>> everything(TrainStep& train) {
  Stream& s = train.device().stream();
  std::vector<std::vector<float>> all;
  for (std::size_t bucket = 0; bucket < train.params().buckets().size(); ++bucket) {
    all.push_back(test::read(s, train.params().buckets()[bucket].values));
    all.push_back(train.optimizer().weights(s, bucket));
    for (std::size_t i = 0; i < train.optimizer().state_names().size(); ++i)
      all.push_back(test::read(s, train.optimizer().state(bucket, i)));
  }
  return all;
}

/// tiny_llama with so many tokens that the head fills a bucket of its own.
ModelConfig two_buckets() {
  ModelConfig config = test::tiny_llama();
  config.vocab = 11000;
  return config;
}

/// A checkpoint of step 2 of a model, made on one rank. Returns its path.
io::Path make_checkpoint(const ScratchDirectory& scratch, const ModelConfig& model) {
  SelfComm comm;
  TrainStep train = make_train(comm, model);
  train.initialize(seed);
  train_steps(train, 0, 2);
  return save_checkpoint(train, scratch / "ckpt", contents_at(2, model));
}

struct Resumed {
  Computed by;
  int ranks;
};

class Resume : public testing::TestWithParam<Resumed> {};

TEST_P(Resume, GivesTheBitsOfTheUnbrokenRun) {
  const ScratchDirectory scratch;
  run_ranks(GetParam().ranks, [&](Communicator& comm) {
    const ModelConfig model = test::tiny_llama();
    TrainStep unbroken = make_train(comm, model, GetParam().by);
    unbroken.initialize(seed);
    train_steps(unbroken, 0, 3);
    const io::Path path = save_checkpoint(unbroken, scratch / "ckpt", contents_at(3, model));
    const auto saved = everything(unbroken);
    train_steps(unbroken, 3, 6);

    TrainStep resumed = make_train(comm, model, GetParam().by);
    load_checkpoint(resumed, path);
    EXPECT_EQ(everything(resumed), saved);
    train_steps(resumed, 3, 6);
    EXPECT_EQ(everything(resumed), everything(unbroken));
    EXPECT_NE(everything(resumed), saved);
  });
}

INSTANTIATE_TEST_SUITE_P(
    Optimizers, Resume,
    testing::Values(Resumed{{"adamw"}, 1}, Resumed{{"lion"}, 1}, Resumed{{"sgd"}, 1},
                    Resumed{{"adamw"}, 3}, Resumed{{"lion"}, 2}, Resumed{{"sgd"}, 2},
                    Resumed{{"adamw", Dtype::bf16}, 1}, Resumed{{"adamw", Dtype::bf16}, 3},
                    Resumed{{"lion", Dtype::bf16}, 2}, Resumed{{"adamw", Dtype::bf16, true}, 1},
                    Resumed{{"sgd", Dtype::bf16, true}, 3}),
    [](const auto& row) {
      const Computed& by = row.param.by;
      return fmt::format("{}In{}{}On{}", by.optimizer, name_of(by.dtype),
                         by.stochastic_rounding ? "AtRandom" : "", row.param.ranks);
    });

/// On three ranks, then on one and two.
void check_numbers_of_ranks(const Computed& by) {
  const ScratchDirectory scratch;
  const ModelConfig model = two_buckets();
  io::Path original;
  run_ranks(3, [&](Communicator& comm) {
    TrainStep train = make_train(comm, model, by);
    EXPECT_EQ(train.params().buckets().size(), 2u);
    train.initialize(seed);
    train_steps(train, 0, 2);
    const io::Path path = save_checkpoint(train, scratch / "three", contents_at(2, model));
    if (comm.rank() == 0) original = path;
  });
  for (const int ranks : {1, 2}) {
    run_ranks(ranks, [&](Communicator& comm) {
      TrainStep train = make_train(comm, model, by);
      load_checkpoint(train, original);
      const io::Path again =
          save_checkpoint(train, scratch / fmt::format("on{}", ranks), contents_at(2, model));
      if (comm.rank() != 0) return;
      EXPECT_EQ(io::list(again), io::list(original));
      for (const std::string& name : io::list(original))
        EXPECT_TRUE(io::read_text(again / name) == io::read_text(original / name)) << name;
    });
  }
}

TEST(Checkpoint, DependsOnNoNumberOfRanks) {
  check_numbers_of_ranks({});
  check_numbers_of_ranks({.dtype = Dtype::bf16});
}

TEST(Checkpoint, HoldsWhatItsHeaderSays) {
  const ScratchDirectory scratch;
  CheckpointContents contents = contents_at(12, test::tiny_gpt2());
  contents.tokenizer = scratch.write("tokenizer.json", "{}");
  SelfComm comm;
  TrainStep train = make_train(comm, test::tiny_gpt2());
  const io::Path path = save_checkpoint(train, scratch / "ckpt", contents);
  EXPECT_EQ(path, scratch / "ckpt/000000012");
  EXPECT_EQ(io::list(path),
            (std::vector<std::string>{"MANIFEST.json", "config.toml", "model.safetensors",
                                      "optim.safetensors", "state.json", "tokenizer.json"}));
  EXPECT_EQ(io::read_text(path / "config.toml"), "[model]\n");
  EXPECT_EQ(CheckpointState::read(path).progress.tokens, 54u * 12);
}

/// Loading must fail on every rank, naming `file`, and change nothing on disk.
void expect_damaged(const ScratchDirectory& scratch, const io::Path& checkpoint, TrainStep& train,
                    const std::string& file) {
  const auto before = scratch.contents();
  expect_mentions(message_of<CheckpointError>([&] { load_checkpoint(train, checkpoint); }), file);
  EXPECT_TRUE(scratch.contents() == before);
}

/// Replaces a file without forcing it to the disk.
void overwrite(const io::Path& path, std::string_view contents) {
  io::remove_all(path);
  io::File::create(path).write(contents);
}

TEST(Checkpoint, DamageInAnyFileIsFound) {
  const ScratchDirectory scratch;
  const io::Path checkpoint = make_checkpoint(scratch, test::tiny_gpt2());
  SelfComm comm;
  TrainStep train = make_train(comm, test::tiny_gpt2());
  for (const std::string& name : io::list(checkpoint)) {
    SCOPED_TRACE(name);
    const std::string whole = io::read_text(checkpoint / name);
    const std::size_t stride = whole.size() / 40 + 1;
    for (std::size_t i = 0; i < whole.size(); i += stride) {
      std::string flipped = whole;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
      overwrite(checkpoint / name, flipped);
      expect_damaged(scratch, checkpoint, train, name);
    }
    for (const std::string& cut :
         {std::string(), whole.substr(0, 1), whole.substr(0, whole.size() / 2),
          whole.substr(0, whole.size() - 3), whole + " x"}) {
      overwrite(checkpoint / name, cut);
      expect_damaged(scratch, checkpoint, train, name);
    }
    io::remove_all(checkpoint / name);
    expect_damaged(scratch, checkpoint, train, name);
    overwrite(checkpoint / name, whole);
    load_checkpoint(train, checkpoint);
  }
}

TEST(Checkpoint, EveryBitOfTheManifestCounts) {
  const ScratchDirectory scratch;
  const io::Path checkpoint = make_checkpoint(scratch, test::tiny_gpt2());
  const std::string whole = io::read_text(checkpoint / "MANIFEST.json");
  for (std::size_t i = 0; i < 8 * whole.size(); ++i) {
    std::string flipped = whole;
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ (1 << (i % 8)));
    overwrite(checkpoint / "MANIFEST.json", flipped);
    expect_mentions(message_of<CheckpointError>([&] { verify_checkpoint(checkpoint); }),
                    "MANIFEST.json");
  }
}

TEST(Checkpoint, DamageEndsEveryRankWithTheSameMessage) {
  const ScratchDirectory scratch;
  const io::Path checkpoint = make_checkpoint(scratch, test::tiny_gpt2());
  io::remove_all(checkpoint / "optim.safetensors");
  std::atomic<int> num_refused = 0;
  run_ranks(3, [&](Communicator& comm) {
    TrainStep train = make_train(comm, test::tiny_gpt2());
    const std::string message =
        message_of<CheckpointError>([&] { load_checkpoint(train, checkpoint); });
    expect_mentions(message, "rank 0");
    expect_mentions(message, "optim.safetensors is missing");
    ++num_refused;
  });
  EXPECT_EQ(num_refused, 3);
}

TEST(Checkpoint, IsNotLoadedIntoAnotherModelOrOptimizer) {
  const ScratchDirectory scratch;
  const io::Path checkpoint = make_checkpoint(scratch, test::tiny_gpt2());
  SelfComm comm;
  ModelConfig wider = test::tiny_gpt2();
  wider.mlp_width = 100;
  ModelConfig deeper = test::tiny_gpt2();
  deeper.layers = 3;
  for (const ModelConfig& other : {wider, deeper, test::tiny_llama()}) {
    TrainStep train = make_train(comm, other);
    expect_damaged(scratch, checkpoint, train, "another model");
  }
  TrainStep lion = make_train(comm, test::tiny_gpt2(), {"lion"});
  expect_damaged(scratch, checkpoint, lion, "optim.safetensors");
}

/// A save that must fail on every rank and leave what was there.
void expect_failed_save(const ScratchDirectory& scratch, const io::Path& ckpt,
                        const CheckpointContents& contents) {
  const auto before = scratch.contents();
  std::atomic<int> num_failed = 0;
  run_ranks(2, [&](Communicator& comm) {
    TrainStep train = make_train(comm, contents.state.model);
    EXPECT_THROW(save_checkpoint(train, ckpt, contents), IoError);
    ++num_failed;
    // The ranks still agree on what comes next.
    EXPECT_EQ(comm.all_reduce_sum(std::int64_t{1}), 2);
  });
  EXPECT_EQ(num_failed, 2);
  EXPECT_TRUE(scratch.contents() == before);
}

TEST(Checkpoint, AFailedSaveLeavesTheOlderOnes) {
  const ScratchDirectory scratch;
  const ModelConfig model = test::tiny_gpt2();
  make_checkpoint(scratch, model);
  CheckpointContents contents = contents_at(4, model);
  contents.tokenizer = scratch / "none.json";  // found missing when the weights are written
  expect_failed_save(scratch, scratch / "ckpt", contents);
  EXPECT_EQ(io::list(scratch / "ckpt"), std::vector<std::string>{"000000002"});
  EXPECT_EQ(checkpoint_steps(scratch / "ckpt"), std::vector<std::uint64_t>{2});
}

TEST(Checkpoint, AFileInTheWayEndsASave) {
  const ScratchDirectory scratch;
  scratch.write("ckpt", "a file");
  expect_failed_save(scratch, scratch / "ckpt", contents_at(1, test::tiny_gpt2()));
  // Nobody can make a directory there, root neither.
  expect_failed_save(scratch, "/proc/ckpt", contents_at(1, test::tiny_gpt2()));
}

}  // namespace
}  // namespace motley
