#include "train/checkpoint_state.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tensor/error.h"
#include "tests/model/hf_directory.h"
#include "tests/scratch_directory.h"
#include "train/checkpoint_directory.h"

namespace motley {
namespace {

CheckpointState some_state() {
  CheckpointState state;
  state.progress = {.step = 12,
                    .tokens = 1u << 31,
                    .seconds = 1.0 / 3.0,
                    .best_loss = 2.0 / 3.0,
                    .evaluations_without_gain = 4,
                    .loss_scale = LossScale{.scale = 16, .good_steps = 1999, .skipped = 3}};
  state.model = test::tiny_llama();
  state.model.norm_eps = 1e-6f;
  state.optimizer = "lion";
  state.device = "a \"device\"";
  state.products = {
      {"a kind, cpu kernels",
       MatrixUnit::avx512_bf16,
       {{{Dtype::bf16, Transpose::a, 1536, 384, 2048},
         {.tile_rows = 8, .tile_columns = 48, .k_block = 2048, .row_block_bytes = 65536}}}},
      {"another, gpu kernels", MatrixUnit::none, {}}};
  return state;
}

/// A checkpoint with nothing but this state.json.
io::Path make_checkpoint(const ScratchDirectory& scratch, const std::string& text) {
  CheckpointDraft draft(scratch.path(), 1);
  io::write_text_atomically(draft.path() / "state.json", text);
  return draft.commit();
}

std::string text_of(const CheckpointState& state) {
  const ScratchDirectory scratch;
  state.write(scratch.path());
  return io::read_text(scratch / "state.json");
}

TEST(CheckpointState, IsReadAsWritten) {
  const ScratchDirectory scratch;
  const CheckpointState state = some_state();
  const CheckpointState read = CheckpointState::read(make_checkpoint(scratch, text_of(state)));
  EXPECT_EQ(read.progress.step, 12u);
  EXPECT_EQ(read.progress.tokens, 1u << 31);
  EXPECT_EQ(read.progress.seconds, 1.0 / 3.0);
  EXPECT_EQ(read.progress.best_loss, 2.0 / 3.0);
  EXPECT_EQ(read.progress.evaluations_without_gain, 4u);
  EXPECT_EQ(read.progress.loss_scale, state.progress.loss_scale);
  EXPECT_EQ(read.optimizer, "lion");
  EXPECT_EQ(read.device, "a \"device\"");
  EXPECT_EQ(read.products, state.products);
  EXPECT_EQ(test::describe(read.model), test::describe(state.model));
}

TEST(CheckpointState, RemembersTheGelu) {
  for (const op::Gelu gelu : {op::Gelu::tanh, op::Gelu::erf}) {
    const ScratchDirectory scratch;
    CheckpointState state = some_state();
    state.model = test::tiny_gpt2();
    state.model.gelu = gelu;
    EXPECT_EQ(CheckpointState::read(make_checkpoint(scratch, text_of(state))).model.gelu, gelu);
  }
}

TEST(CheckpointState, MayLackABestLoss) {
  const ScratchDirectory scratch;
  CheckpointState state = some_state();
  state.progress.best_loss.reset();
  const CheckpointState read = CheckpointState::read(make_checkpoint(scratch, text_of(state)));
  EXPECT_FALSE(read.progress.best_loss.has_value());
}

TEST(CheckpointState, MayLackPlansOfProducts) {
  const ScratchDirectory scratch;
  nlohmann::json root = nlohmann::json::parse(text_of(some_state()));
  root.erase("products");
  EXPECT_TRUE(CheckpointState::read(make_checkpoint(scratch, root.dump())).products.empty());
}

TEST(CheckpointState, RefusesWrongMembersByName) {
  using nlohmann::json;
  const std::vector<std::pair<std::string, std::string>> rows = {
      {R"({"format": 2})", "format"},
      {R"({"step": -1})", "step"},
      {R"({"step": null})", "step"},
      {R"({"seconds": "long"})", "seconds"},
      {R"({"optimizer": 1})", "optimizer"},
      {R"({"products": 1})", "products"},
      {R"({"products": [{"kind": "x", "matrix_unit": "abacus", "plans": []}]})", "matrix_unit"},
      {R"({"products": [{"kind": "x", "matrix_unit": "none", "plans": [{"dtype": "u8"}]}]})",
       "dtype"},
      {R"({"loss_scale": {"scale": 3}})", "scale"},
      {R"({"loss_scale": {"skipped": -1}})", "skipped"},
      {R"({"model": null})", "model"},
      {R"({"model": {"family": "mamba"}})", "mamba"},
      {R"({"model": {"vocab": 1152921504606846976}})", "vocab"},
      {R"({"model": {"heads": 0}})", "heads"},
      {R"({"model": {"gelu": "relu"}})", "gelu"},
      {R"({"model": {"norm_eps": 1e200}})", "norm_eps"}};
  for (const auto& [patch, mention] : rows) {
    const ScratchDirectory scratch;
    json root = json::parse(text_of(some_state()));
    root.merge_patch(json::parse(patch));
    const io::Path checkpoint = make_checkpoint(scratch, root.dump());
    const std::string message =
        message_of<CheckpointError>([&] { CheckpointState::read(checkpoint); });
    expect_mentions(message, "state.json");
    expect_mentions(message, mention);
  }
}

TEST(CheckpointState, IsVerifiedBeforeItIsBelieved) {
  const ScratchDirectory scratch;
  const std::string text = text_of(some_state());
  const io::Path checkpoint = make_checkpoint(scratch, text);
  std::string other = text;
  other[other.find("12")] = '9';  // step 92: well formed, but not what was written
  scratch.write("000000001/state.json", other);
  expect_mentions(message_of<CheckpointError>([&] { CheckpointState::read(checkpoint); }),
                  "state.json is damaged");
}

}  // namespace
}  // namespace motley
