// How a run deals with ranks of unequal speed, and what it tells of them.
#include "tensor/log.h"
#include "train/trainer.h"

namespace motley {

BalanceNews Trainer::balance(const StepResult& result) {
  std::vector<RankWork> work;
  for (const RankStep& rank : result.ranks) {
    work.push_back({.leaves = rank.leaves,
                    .leaf_seconds = rank.times.compute + rank.times.io,
                    .comm_seconds = rank.times.exposed});
  }
  return {balancer_.after_step(progress_.step, work), stragglers_.observe(work)};
}

void Trainer::write_metrics(const StepRecord& record, const BalanceNews& news) {
  if (!metrics_) return;
  metrics_->write(record);
  if (news.change) metrics_->write(*news.change);
  for (const Straggler& straggler : news.stragglers) metrics_->write(progress_.step, straggler);
}

void Trainer::report(const BalanceNews& news) {
  if (comm_.rank() != 0) return;
  if (news.change) report(*news.change);
  for (const Straggler& straggler : news.stragglers) report(straggler);
}

void Trainer::report(const PlanChange& change) {
  console_.planned(change);
  for (const int rank : change.left_out) {
    log::warn(
        "{} is too slow to help: a leaf takes {} there, and the others do all of them in "
        "less; it gets none from step {} on and is measured again now and then\n"
        "fix: larger steps (train.global_batch), smaller leaves (train.micro_batch), or the job "
        "without this device",
        describe_rank(rank), format_short_time(change.leaf_seconds[static_cast<std::size_t>(rank)]),
        change.first_step + 1);
  }
}

void Trainer::report(const Straggler& straggler) {
  log::warn(
      "slow {:>6}  {} has kept the others waiting for {} steps: they need {:.2f} of its time for "
      "their leaves\n"
      "fix: look for other programs and for heat on its host; with more leaves in a step "
      "(train.global_batch, train.micro_batch) shares are finer; dist.replan_every is {}",
      progress_.step, describe_rank(straggler.rank),
      StragglerWatch::window * StragglerWatch::patience, straggler.score,
      settings_.dist.replan_every);
}

/// "rank 5 (node3, PoCL)"
std::string Trainer::describe_rank(int rank) const {
  const RankRow& row = ranks_.at(static_cast<std::size_t>(rank));
  return fmt::format("rank {} ({}, {})", rank, row.host, row.device);
}

}  // namespace motley
