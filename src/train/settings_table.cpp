#include "train/settings_table.h"

#include <limits>

#include "train/optimizer.h"
#include "train/presets.h"
#include "train/settings_row.h"

namespace motley {
namespace {

template <auto Field>
Setting model(std::string_view key, Row row) {
  return setting<&Settings::model, Field>("model", key, std::move(row));
}
template <auto Field>
Setting data(std::string_view key, Row row) {
  return setting<&Settings::data, Field>("data", key, std::move(row));
}
template <auto Field>
Setting train(std::string_view key, Row row) {
  return setting<&Settings::train, Field>("train", key, std::move(row));
}
template <auto Field>
Setting optim(std::string_view key, Row row) {
  return setting<&Settings::optim, Field>("optim", key, std::move(row));
}
template <auto Field>
Setting device(std::string_view key, Row row) {
  return setting<&Settings::device, Field>("device", key, std::move(row));
}
template <auto Field>
Setting dist(std::string_view key, Row row) {
  return setting<&Settings::dist, Field>("dist", key, std::move(row));
}

constexpr double max_count = 1e15;
constexpr double max_simulated = 64;  // each is threads, a device and a copy of the parameters
constexpr double max_dimension = 1 << 20;
constexpr double max_vocab =
    std::numeric_limits<std::int32_t>::max();  // tokens are int32 on the device
constexpr double max_loss_scale = 1ULL << 40;
constexpr double max_seed = 9.2e18;  // TOML integers are signed
constexpr auto tokens = SettingUnit::tokens;
constexpr auto steps = SettingUnit::steps;
constexpr auto fraction = SettingUnit::fraction;
constexpr auto identical = OnResume::identical;
constexpr auto changes_result = OnResume::changes_result;
constexpr auto one_call = OnResume::one_call;

std::vector<Setting> model_rows() {
  using M = ModelSettings;
  static_assert(static_cast<int>(Family::gpt2) == 0 && static_cast<int>(Family::llama) == 1);
  static_assert(static_cast<int>(Recompute::none) == 0 && static_cast<int>(Recompute::block) == 2);
  return {
      model<&M::preset>("preset", {.help = "shape to start from; other [model] keys override it",
                                   .choices = preset_names()}),
      model<&M::family>(
          "family", {.help = "architecture", .choices = {"gpt2", "llama"}, .on_resume = identical}),
      model<&M::layers>(
          "layers", {.help = "transformer blocks", .low = 1, .high = 1024, .on_resume = identical}),
      model<&M::width>("width", {.help = "values of the residual stream per token",
                                 .low = 1,
                                 .high = max_dimension,
                                 .on_resume = identical}),
      model<&M::heads>("heads", {.help = "attention heads; divide width",
                                 .low = 1,
                                 .high = 1024,
                                 .on_resume = identical}),
      model<&M::kv_heads>("kv_heads", {.help = "key and value heads; divide heads",
                                       .low = 1,
                                       .high = 1024,
                                       .on_resume = identical}),
      model<&M::mlp_width>("mlp_width", {.help = "values inside the feed-forward layer",
                                         .low = 1,
                                         .high = max_dimension,
                                         .on_resume = identical}),
      model<&M::context>("context", {.help = "longest sequence the model can read",
                                     .low = 1,
                                     .high = max_dimension,
                                     .unit = tokens,
                                     .on_resume = identical}),
      model<&M::vocab>("vocab", {.help = "vocabulary; 0 = as the data's tokenizer",
                                 .low = 0,
                                 .high = max_vocab,
                                 .unit = tokens,
                                 .on_resume = identical}),
      model<&M::tie>("tie", {.help = "the head is the embedding table", .on_resume = identical}),
      model<&M::recompute>("recompute", {.help = "what backward computes again to save memory",
                                         .choices = {"none", "attention", "block"}}),
      model<&M::dtype>("dtype",
                       {.help = "activations are stored as; bf16, as which weights are stored as "
                                "well, is faster where it is half the memory or has units of its "
                                "own; f16 is finer, needs a loss scale, and has no units yet",
                        .choices = {"f32", "bf16", "f16"}}),
      model<&M::norm_eps>("norm_eps", {.help = "added to the variance in norms",
                                       .low = 1e-12,
                                       .high = 0.1,
                                       .on_resume = identical}),
      model<&M::rope_theta>("rope_theta", {.help = "base of the rotary positions' wavelengths",
                                           .low = 1,
                                           .high = 1e9,
                                           .on_resume = identical}),
      model<&M::init_std>("init_std",
                          {.help = "standard deviation of fresh weights", .low = 1e-6, .high = 1}),
  };
}

std::vector<Setting> data_rows() {
  return {
      data<&DataSettings::path>("path", {.help = "directory made by `motley data prepare`"}),
      data<&DataSettings::verify>("verify", {.help = "check the shards' hashes before training"}),
  };
}

std::vector<Setting> train_rows() {
  using T = TrainSettings;
  return {
      train<&T::run>("run", {.help = "directory of the run"}),
      train<&T::steps>("steps", {.help = "stop after so many steps; 0 = no limit",
                                 .high = max_count,
                                 .unit = steps,
                                 .on_resume = changes_result}),
      train<&T::tokens>("tokens", {.help = "stop after so many tokens; 0 = no limit",
                                   .high = max_count,
                                   .unit = tokens,
                                   .on_resume = changes_result}),
      train<&T::minutes>("minutes", {.help = "stop after so much training time; 0 = no limit",
                                     .high = 1e7,
                                     .unit = SettingUnit::minutes,
                                     .on_resume = changes_result}),
      train<&T::seed>("seed", {.help = "of fresh weights, sample order and sampling",
                               .high = max_seed,
                               .on_resume = changes_result}),
      train<&T::sequence>("sequence",
                          {.help = "length of training sequences; 0 = the model's context",
                           .high = max_dimension,
                           .unit = tokens,
                           .on_resume = changes_result}),
      train<&T::micro_batch>(
          "micro_batch",
          {.help = "sequences a device computes at once", .low = 1, .high = max_dimension}),
      train<&T::global_batch>(
          "global_batch",
          {.help =
               "tokens per step over all ranks; 0 = one micro-batch per rank, or the resumed run's",
           .high = max_count,
           .unit = tokens,
           .on_resume = changes_result}),
      train<&T::eval_every>("eval_every",
                            {.help = "validate every so many steps; 0 = only at the end",
                             .high = max_count,
                             .unit = steps}),
      train<&T::eval_tokens>(
          "eval_tokens",
          {.help = "validation tokens to use; 0 = all", .high = max_count, .unit = tokens}),
      train<&T::sample_every>("sample_every",
                              {.help = "print a sample every so many steps; 0 = never",
                               .high = max_count,
                               .unit = steps}),
      train<&T::sample_prompt>("sample_prompt", {.help = "text that samples continue"}),
      train<&T::sample_tokens>(
          "sample_tokens",
          {.help = "length of samples", .low = 1, .high = max_dimension, .unit = tokens}),
      train<&T::save_every>("save_every",
                            {.help = "checkpoint every so many steps; 0 = only at the end",
                             .high = max_count,
                             .unit = steps}),
      train<&T::keep>("keep",
                      {.help = "newest checkpoints to keep", .low = 1, .high = max_dimension}),
      train<&T::patience>(
          "patience", {.help = "stop after so many validations without a better loss; 0 = never",
                       .high = max_count}),
      train<&T::resume>("resume",
                        {.help = "go on from the run's newest checkpoint", .on_resume = one_call}),
      train<&T::overwrite>(
          "overwrite", {.help = "delete the run that is in the directory", .on_resume = one_call}),
      train<&T::allow_change>("allow_change",
                              {.help = "keys, separated by commas, that a resumed run may change",
                               .on_resume = one_call}),
      train<&T::init_from>(
          "init_from",
          {.help = "Hugging Face directory or checkpoint whose weights to start from"}),
      train<&T::log_every>(
          "log_every",
          {.help = "time between progress lines", .high = 86400, .unit = SettingUnit::seconds}),
      train<&T::inject>(
          "inject",
          {.help = "for tests: faults as RANK:STEP:FAULT, separated by commas; FAULT is kill, "
                   "stop, nan, slow=3x, drop-link or flip-bit",
           .on_resume = one_call}),
  };
}

std::vector<std::string> names_of_optimizers() {
  const std::vector<std::string_view> names = optimizer_names();
  return {names.begin(), names.end()};
}

std::vector<Setting> optim_rows() {
  using O = OptimSettings;
  constexpr double below_one = 1.0 - 1e-9;
  return {
      optim<&O::name>(
          "name", {.help = "optimizer", .choices = names_of_optimizers(), .on_resume = identical}),
      optim<&O::lr>("lr", {.help = "peak learning rate", .high = 100, .on_resume = changes_result}),
      optim<&O::min_lr_ratio>("min_lr_ratio", {.help = "last learning rate over the peak",
                                               .high = 1,
                                               .unit = fraction,
                                               .on_resume = changes_result}),
      optim<&O::schedule>("schedule", {.help = "how the learning rate falls",
                                       .choices = {"cosine", "linear", "constant", "wsd"},
                                       .on_resume = changes_result}),
      optim<&O::warmup>("warmup", {.help = "steps in which the learning rate rises",
                                   .high = max_count,
                                   .unit = steps,
                                   .on_resume = changes_result}),
      optim<&O::decay_fraction>("decay_fraction",
                                {.help = "last part of the run in which wsd decays",
                                 .high = 1,
                                 .unit = fraction,
                                 .on_resume = changes_result}),
      optim<&O::beta1>("beta1", {.help = "AdamW's and Lion's first moment",
                                 .high = below_one,
                                 .on_resume = changes_result}),
      optim<&O::beta2>("beta2", {.help = "AdamW's and Lion's second coefficient",
                                 .high = below_one,
                                 .on_resume = changes_result}),
      optim<&O::epsilon>("epsilon", {.help = "AdamW's smallest divisor",
                                     .low = 1e-20,
                                     .high = 1,
                                     .on_resume = changes_result}),
      optim<&O::momentum>(
          "momentum", {.help = "SGD's momentum", .high = below_one, .on_resume = changes_result}),
      optim<&O::weight_decay>(
          "weight_decay",
          {.help = "decoupled decay of matrices", .high = 10, .on_resume = changes_result}),
      optim<&O::clip>(
          "clip",
          {.help = "largest gradient norm; 0 = off", .high = 1e9, .on_resume = changes_result}),
      optim<&O::stochastic_rounding>(
          "stochastic_rounding",
          {.help = "with dtype bf16, keep weights in bf16 alone and round them at random, instead "
                   "of what they lack of f32 with their owner: 2 bytes less for each",
           .on_resume = changes_result}),
      optim<&O::loss_scale>("loss_scale",
                            {.help = "with dtype f16, what the loss's gradient is multiplied by at "
                                     "first, a power of two; it halves and doubles as steps need",
                             .low = 1,
                             .high = max_loss_scale}),
  };
}

std::vector<Setting> device_rows() {
  using D = DeviceChoiceSettings;
  static_assert(static_cast<int>(Tuning::off) == 0 && static_cast<int>(Tuning::automatic) == 2);
  return {
      device<&D::use>("use", {.help = "auto, cpu, gpu, index:N, name:TEXT or pci:ADDRESS, as "
                                      "`motley devices` lists them; by rank and host: "
                                      "\"gpu; node2=index:1,cpu\"",
                              .alias = "device"}),
      device<&D::kernels>("kernels", {.help = "kernel family; auto = what suits the device",
                                      .choices = {"auto", "cpu", "gpu"}}),
      device<&D::share>("share", {.help = "let ranks of a host share a device that is not a CPU",
                                  .alias = "share_device"}),
      device<&D::one_core>("one_core",
                           {.help = "allow a CPU device that mpirun has bound to one of many cores",
                            .alias = "one_core"}),
      device<&D::cache>("cache",
                        {.help = "directory of built kernels; empty = the user's cache directory"}),
      device<&D::matrix_units>("matrix_units",
                               {.help = "multiply bf16 by units made for it where they prove right "
                                        "and faster; see the log"}),
      device<&D::tune>("tune",
                       {.help = "how products of matrices are cut: off = the defaults, load = what "
                                "`motley tune` or an earlier run found, auto = and tune once, for "
                                "10 s, what none has; a resumed run goes on as it began",
                        .choices = {"off", "load", "auto"}}),
      device<&D::profile>("profile",
                          {.help = "steps to profile, as steps=10-12: what the device ran goes to "
                                   "profile/ of the run, the costliest kernels to the console",
                           .on_resume = one_call}),
  };
}

std::vector<Setting> dist_rows() {
  using D = DistSettings;
  return {
      dist<&D::exact>("exact", {.help = "the same bits on any number of ranks",
                                .on_resume = changes_result,
                                .alias = "exact"}),
      dist<&D::wire>("wire",
                     {.help = "gradients between hosts; bf16 halves the traffic and gives up "
                              "the same bits on any number of hosts",
                      .choices = {"f32", "bf16"},
                      .on_resume = changes_result}),
      dist<&D::zero>("zero",
                     {.help = "2 = ranks keep sums of their shard alone: less memory, more traffic",
                      .low = 1,
                      .high = 2,
                      .alias = "zero"}),
      dist<&D::shared_memory>(
          "shared_memory",
          {.help = "let ranks of a host exchange gradients through shared memory"}),
      dist<&D::zero_copy>(
          "zero_copy",
          {.help = "let devices that share the host's memory work where ranks exchange gradients; "
                   "off = copy, if a driver is wrong about it"}),
      dist<&D::watchdog>("watchdog",
                         {.help = "end the job and name the rank when one stands still"}),
      dist<&D::device_timeout>(
          "device_timeout",
          {.help = "longest time to load the drivers and open a device before the job is given up",
           .low = 1,
           .high = 1e6,
           .unit = SettingUnit::seconds}),
      dist<&D::step_timeout>(
          "step_timeout",
          {.help = "longest step before the job ends; 0 = max(60 s, 5 x its 99th percentile)",
           .high = 1e6,
           .unit = SettingUnit::seconds}),
      dist<&D::check_every>(
          "check_every",
          {.help = "compare the ranks' parameters every so many steps; 0 = only before saving",
           .high = max_count,
           .unit = steps}),
      dist<&D::replan_every>(
          "replan_every",
          {.help = "every so many steps, see whether other shares of the ranks in a step's "
                   "micro-batches would be faster; 0 = equal shares",
           .high = max_count,
           .unit = steps}),
      dist<&D::simulate_ranks>(
          "simulate_ranks",
          {.help = "train as so many ranks would, in one process on one device; 0 = off",
           .high = max_simulated,
           .on_resume = one_call}),
  };
}

std::vector<Setting> make_table() {
  std::vector<Setting> table;
  for (auto rows :
       {model_rows(), data_rows(), train_rows(), optim_rows(), device_rows(), dist_rows()}) {
    for (Setting& row : rows) table.push_back(std::move(row));
  }
  return table;
}

}  // namespace

std::span<const Setting> settings_table() {
  static const std::vector<Setting> table = make_table();
  return table;
}

}  // namespace motley
