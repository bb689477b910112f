#include "train/checkpoint_weights.h"

#include <gtest/gtest.h>

#include "dist/self_comm.h"
#include "model/hf_weights.h"
#include "tensor/error.h"
#include "tests/model/hf_directory.h"
#include "tests/scratch_directory.h"
#include "tests/train/tiny_training.h"
#include "train/checkpoint.h"
#include "train/tokenizer.h"

namespace motley {
namespace {

using test::HfDirectory;
using test::read_param;

void expect_equal_weights(const WeightSource& a, const WeightSource& b) {
  EXPECT_EQ(test::describe(a.config()), test::describe(b.config()));
  for (const ParamSpec& spec : parameter_specs(a.config()))
    EXPECT_EQ(read_param(a, spec.name), read_param(b, spec.name)) << spec.name;
}

TEST(ImportWeights, MakesACheckpointWithTheSameWeights) {
  for (const HfDirectory& hf : {test::hf_gpt2(""), test::hf_llama()}) {
    const ScratchDirectory scratch;
    hf.write(scratch / "hf", Dtype::bf16);
    const auto source = open_weights(scratch / "hf");
    const io::Path checkpoint = import_weights(*source, scratch / "run");
    EXPECT_EQ(checkpoint, scratch / "run/ckpt/000000000");
    for (const char* path : {"run", "run/ckpt", "run/ckpt/000000000"})
      expect_equal_weights(*open_weights(scratch / path), *source);
  }
}

TEST(ImportWeights, ThenExportGivesTheSameF32Bits) {
  for (const HfDirectory& hf : {test::hf_gpt2(), test::hf_llama()}) {
    const ScratchDirectory scratch;
    hf.write(scratch / "in");
    import_weights(*open_weights(scratch / "in"), scratch / "run");
    export_hf(*open_weights(scratch / "run"), scratch / "out", {});
    EXPECT_TRUE(io::read_text(scratch / "in/model.safetensors") ==
                io::read_text(scratch / "out/model.safetensors"));
  }
}

TEST(ImportWeights, TakesATokenizerThatCanBeUsed) {
  const ScratchDirectory scratch;
  const std::vector<std::string_view> texts = {"some text"};
  test::hf_llama().write(scratch / "good");
  Tokenizer::train(texts, 260).save(scratch / "good/tokenizer.json");
  import_weights(*open_weights(scratch / "good"), scratch / "run");
  const io::Path copied = open_weights(scratch / "run")->tokenizer();
  EXPECT_EQ(io::read_text(copied), io::read_text(scratch / "good/tokenizer.json"));

  test::hf_llama().write(scratch / "other");
  scratch.write("other/tokenizer.json", "{\"model\": {\"type\": \"Unigram\"}}");
  import_weights(*open_weights(scratch / "other"), scratch / "run2");
  EXPECT_TRUE(open_weights(scratch / "run2")->tokenizer().empty());
}

TEST(ImportWeights, LeavesAnExistingDirectoryAsItIs) {
  const ScratchDirectory scratch;
  test::hf_llama().write(scratch / "hf");
  const auto before = scratch.contents();
  const auto source = open_weights(scratch / "hf");
  expect_mentions(message_of<ConfigError>([&] { import_weights(*source, scratch / "hf"); }),
                  "exists");
  EXPECT_EQ(scratch.contents(), before);
}

TEST(ImportWeights, LeavesNothingWhenItFails) {
  const ScratchDirectory scratch;
  test::hf_llama().write(scratch / "hf");
  const auto source = open_weights(scratch / "hf");
  // The file is cut after it was opened and checked.
  std::filesystem::resize_file(scratch / "hf/model.safetensors", 5000);
  EXPECT_THROW(import_weights(*source, scratch / "run"), IoError);
  EXPECT_EQ(io::list(scratch.path()), std::vector<std::string>{"hf"});
}

TEST(ImportWeights, CannotBeResumedFrom) {
  const ScratchDirectory scratch;
  test::hf_gpt2().write(scratch / "hf");
  const io::Path checkpoint = import_weights(*open_weights(scratch / "hf"), scratch / "run");
  SelfComm comm;
  TrainStep train(test::device_of(0), comm, test::tiny_gpt2(), {}, {});
  const std::string message =
      message_of<CheckpointError>([&] { load_checkpoint(train, checkpoint); });
  expect_mentions(message, "optim.safetensors is missing");
  expect_mentions(message, "--train.init_from");
}

TEST(CheckpointWeights, AreThoseOfTheTrainedModel) {
  const ScratchDirectory scratch;
  SelfComm comm;
  TrainStep train(test::device_of(0), comm, test::tiny_gpt2(), {}, {});
  train.initialize(1);
  test::train_steps(train, 0, 1);
  CheckpointContents contents;
  contents.state.model = test::tiny_gpt2();
  save_checkpoint(train, scratch / "ckpt", contents);
  const auto weights = open_weights(scratch.path());
  ParamStore params(test::device_of(0), weights->config());
  load_weights(test::device_of(0).stream(), params, *weights);
  for (const Param& param : train.params().params()) {
    EXPECT_EQ(test::read(train.device().stream(), params.at(param.spec.name).value),
              test::read(train.device().stream(), param.value))
        << param.spec.name;
  }
}

TEST(OpenWeights, RefusesWhatIsDamagedOrNothing) {
  const ScratchDirectory scratch;
  test::hf_gpt2().write(scratch / "hf");
  const io::Path checkpoint = import_weights(*open_weights(scratch / "hf"), scratch / "run");
  for (const char* name : {"model.safetensors", "state.json", "MANIFEST.json"}) {
    const std::string whole = io::read_text(checkpoint / name);
    std::string flipped = whole;
    flipped[whole.size() / 2] = static_cast<char>(flipped[whole.size() / 2] ^ 4);
    io::write_text_atomically(checkpoint / name, flipped);
    expect_mentions(message_of<CheckpointError>([&] { open_weights(scratch / "run"); }), name);
    io::write_text_atomically(checkpoint / name, whole);
  }
  for (const char* none : {"none", "hf/model.safetensors"}) {
    expect_mentions(message_of<CheckpointError>([&] { open_weights(scratch / none); }), none);
  }
}

TEST(OpenWeights, RefusesWeightsThatAreNotOfTheirOwnModel) {
  const ScratchDirectory scratch;
  test::hf_gpt2().write(scratch / "hf");
  const io::Path checkpoint = import_weights(*open_weights(scratch / "hf"), scratch / "run");
  // Whole files with right hashes, but the state tells of a far larger model: nothing may make room
  // for it before the tensors are looked at.
  CheckpointState state = CheckpointState::read(checkpoint);
  state.model.vocab = std::size_t{1} << 24;
  CheckpointDraft draft(scratch / "other", 0);
  std::filesystem::copy_file(checkpoint / "model.safetensors", draft.path() / "model.safetensors");
  state.write(draft.path());
  draft.commit();
  const std::string message = message_of<CheckpointError>([&] { open_weights(scratch / "other"); });
  expect_mentions(message, "model.safetensors");
  expect_mentions(message, "embed.weight has shape [61, 24]");
}

}  // namespace
}  // namespace motley
