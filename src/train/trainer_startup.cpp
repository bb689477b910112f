// The table a run starts with: who trains what, where and on what.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "dist/agree.h"
#include "kernels/matrix_unit.h"
#include "tensor/log.h"
#include "train/trainer.h"

namespace motley {
namespace {

std::string describe_optimizer(const OptimSettings& settings) {
  static constexpr const char* schedules[] = {"cosine", "linear", "constant", "wsd"};
  return fmt::format("{} lr {:g} {}", settings.name, settings.lr,
                     schedules[static_cast<int>(settings.schedule)]);
}

std::string describe_limits(const TrainSettings& settings) {
  std::vector<std::string> limits;
  if (settings.steps > 0) limits.push_back(fmt::format("{} steps", settings.steps));
  if (settings.tokens > 0)
    limits.push_back(fmt::format("{} tokens", format_count(static_cast<double>(settings.tokens))));
  if (settings.minutes > 0) limits.push_back(fmt::format("{:g} minutes", settings.minutes));
  return fmt::format("{}", fmt::join(limits, " or "));
}

/// A rank's row as text that can be gathered.
std::string to_text(const RankRow& row) {
  return nlohmann::json{row.host,        row.device,       row.kind,
                        row.memory_used, row.memory_total, row.leaves}
      .dump();
}

RankRow row_from_text(const std::string& text) {
  const auto fields = nlohmann::json::parse(text);
  RankRow row;
  fields.at(0).get_to(row.host);
  fields.at(1).get_to(row.device);
  fields.at(2).get_to(row.kind);
  fields.at(3).get_to(row.memory_used);
  fields.at(4).get_to(row.memory_total);
  fields.at(5).get_to(row.leaves);
  return row;
}

/// "gpu"; "gpu, copied" for one that could work in the host's memory and does not; and the matrix
/// unit that products use.
std::string describe_kind(const Device& device, HostMemory memory) {
  const DeviceInfo& info = device.info();
  const bool could_share = info.kind == DeviceKind::cpu || info.unified_memory;
  const MatrixUnit unit = device.matrix_unit().value_or(MatrixUnit::none);
  return to_string(info.kind) + (could_share && memory == HostMemory::copied ? ", copied" : "") +
         (unit == MatrixUnit::none ? "" : fmt::format(", {}", op::name_of(unit)));
}

}  // namespace

void Trainer::print_startup() {
  const LeafPlan plan = balancer_.schedule().plan(progress_.step);
  // So that the table has it, and what does not fit is told before the first step.
  train_.reducer().reserve(train_.deal(plan));
  agree(comm_, "taking memory for a step", [&] { train_.prepare(leaf_shape_); });
  const RankRow mine{
      .host = comm_.host(),
      .device = device_.info().name,
      .kind = describe_kind(device_, train_.reducer().host_memory()),
      .memory_used = device_.pool().statistics().in_use + train_.reducer().bytes_beside_pool(),
      .memory_total = device_.info().global_memory,
      .leaves = plan.counts().at(static_cast<std::size_t>(comm_.rank()))};
  for (const std::string& text : comm_.all_gather_text(to_text(mine)))
    ranks_.push_back(row_from_text(text));
  StartupTable table;
  table.ranks = ranks_;
  table.version = version_;
  table.run = run_.root().string();
  table.optimizer = describe_optimizer(settings_.optim);
  table.limits = describe_limits(settings_.train);
  table.seed = settings_.train.seed;
  table.model = start_.model;
  table.dtype = name_of(activation_dtype(settings_.model));
  table.sequence = leaf_shape_.T;
  table.leaf_sequences = leaf_shape_.B;
  table.data_path = settings_.data.path;
  table.train_tokens = data_.train.num_tokens();
  table.train_shards = data_.train.num_shards();
  table.validation_tokens = data_.validation ? data_.validation->num_tokens() : 0;
  table.first_step = progress_.step;
  console_.start(table);
  warn_of_idle_ranks();
}

void Trainer::warn_of_idle_ranks() const {
  const auto num_ranks = static_cast<std::size_t>(comm_.size());
  if (comm_.rank() != 0 || leaves_per_step_ >= num_ranks) return;
  log::warn(
      "a step has {} for {} ranks, so the others compute nothing\n"
      "fix: train.global_batch = {} or more, or a smaller train.micro_batch",
      leaves_per_step_ == 1 ? "1 leaf" : fmt::format("{} leaves", leaves_per_step_), num_ranks,
      num_ranks * leaf_shape_.N());
}

}  // namespace motley
