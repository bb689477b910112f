#include "dist/watchdog.h"

#include <fmt/chrono.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>

#include "dist/job.h"
#include "tensor/clock.h"
#include "tensor/error.h"
#include "tensor/log.h"

namespace motley {
namespace {

constexpr double look_every = 0.25;
// Two looks that far apart mean that this process itself was stopped, or its host asleep.
constexpr double longest_pause = 5;
// How long rank 0 waits for the others' dumps, and they for the end that rank 0 has announced.
constexpr double dump_patience = 5;
constexpr double end_patience = 15;
// Writing to a dead file system or MPI_Abort without a daemon may never return.
constexpr std::chrono::seconds last_resort(25);
constexpr int exit_code = static_cast<int>(ExitCode::peer);

void end_all_ranks() {
  abort_job(exit_code);
}

/// Ends this process in any case. The thread is not waited for: it ends with the process.
void start_last_resort() {
  std::thread([] {
    std::this_thread::sleep_for(last_resort);
    ::_exit(exit_code);
  }).detach();
}

}  // namespace

Watchdog::Watchdog(Communicator& comm, WatchdogSettings settings)
    : comm_(comm),
      settings_(std::move(settings)),
      limits_(settings_.limits),
      heartbeats_(std::make_shared<Heartbeats>(comm, comm.recorder(), open_heartbeat_link(comm),
                                               monotonic_seconds)),
      looked_at_(monotonic_seconds()),
      forgiven_at_(looked_at_),
      names_(gather_names(settings_.device)) {
  if (heartbeats_->has_link()) {
    comm.set_pump([heartbeats = heartbeats_] { heartbeats->pump(); });
  }
  thread_ = std::thread([this] { run(); });
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  changed_.notify_all();
  thread_.join();
  // The hook stays: to take it away one would have to wait for a thread that may wait for others.
  heartbeats_->close();
}

std::vector<std::string> Watchdog::gather_names(const std::string& device) const {
  return comm_.all_gather_text(fmt::format("{} ({})", comm_.name(), device));
}

void Watchdog::name_device(const std::string& device) {
  std::vector<std::string> names = gather_names(device);
  const std::lock_guard lock(mutex_);
  names_ = std::move(names);
}

std::string Watchdog::name_of_rank(int rank) const {
  const std::lock_guard lock(mutex_);
  return names_[static_cast<std::size_t>(rank)];
}

void Watchdog::run() {
  while (!wait_for_stop(look_every)) {
    if (look(monotonic_seconds())) return;
  }
}

bool Watchdog::wait_for_stop(double seconds) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return stops_; });
}

bool Watchdog::look(double now) {
  if (now - looked_at_ > longest_pause) {
    heartbeats_->forgive();
    forgiven_at_ = now;
  }
  looked_at_ = now;
  std::uint64_t step = 0;
  if (heartbeats_->dump_ordered(step)) {
    obey(step);
    return true;
  }
  const std::optional<StallVerdict> verdict = decide(now);
  if (verdict) give_up(*verdict);
  return verdict.has_value();
}

RankView Watchdog::own_view(double now) const {
  RankView view{comm_.rank(), name_of_rank(comm_.rank()), comm_.recorder().status(), 0};
  view.status.stretch_seconds = std::min(view.status.stretch_seconds, now - forgiven_at_);
  return view;
}

RankView Watchdog::view_of(int rank) const {
  const Heard heard = heartbeats_->heard(rank);
  return {rank, name_of_rank(rank), heard.status, heard.age};
}

std::optional<StallVerdict> Watchdog::decide(double now) {
  limits_.step =
      step_limit(comm_.recorder().step_seconds(), settings_.step_timeout, limits_.first_step);
  const RankView mine = own_view(now);
  const double link_age = heartbeats_->link_age();
  if (comm_.rank() != 0 && heartbeats_->has_link()) {
    // One after another, so that usually one rank speaks.
    const double grace = settings_.grace + std::min(comm_.rank(), 8);
    return judge_alone(mine, view_of(0), limits_, link_age, grace);
  }
  std::vector<RankView> views{mine};
  if (heartbeats_->has_link()) {
    for (int rank = 1; rank < comm_.size(); ++rank) views.push_back(view_of(rank));
  }
  return judge(views, limits_, link_age);
}

void Watchdog::give_up(const StallVerdict& verdict) {
  if (!settings_.end_job) start_last_resort();
  const std::string dumps =
      settings_.log_directory.empty()
          ? ""
          : "; what the ranks did last is in " + dump_directory(verdict.step).string();
  log::error("error[comm.stalled]  {}{}", verdict.text, dumps);
  if (comm_.rank() == 0) heartbeats_->order_dump(verdict.step);
  write_dump(verdict.step, verdict.text);
  if (comm_.rank() == 0) wait_for_dumps();
  if (settings_.end_job) return settings_.end_job();
  end_all_ranks();
}

void Watchdog::obey(std::uint64_t step) {
  if (!settings_.end_job) start_last_resort();
  write_dump(step, "rank 0 has given up the job");
  heartbeats_->report_dumped();
  if (wait_for_stop(end_patience)) return;
  if (settings_.end_job) return settings_.end_job();
  end_all_ranks();
}

void Watchdog::wait_for_dumps() {
  if (!heartbeats_->has_link()) return;
  const double until = monotonic_seconds() + dump_patience;
  const auto is_missing = [this](int rank) {
    const Heard heard = heartbeats_->heard(rank);
    return !heard.dumped && heard.age <= limits_.silence();
  };
  bool missing = true;
  while (missing && monotonic_seconds() < until) {
    missing = false;
    for (int rank = 1; rank < comm_.size(); ++rank) missing = missing || is_missing(rank);
    if (missing) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

io::Path Watchdog::dump_directory(std::uint64_t step) const {
  return settings_.log_directory / fmt::format("stall-{}", step);
}

void Watchdog::write_dump(std::uint64_t step, const std::string& reason) const {
  if (settings_.log_directory.empty()) return;
  std::string text = fmt::format("{}\n{} at {:%Y-%m-%dT%H:%M:%SZ}\n", reason,
                                 name_of_rank(comm_.rank()), fmt::gmtime(std::time(nullptr)));
  text += format_dump(comm_.recorder().snapshot());
  if (comm_.rank() == 0 && heartbeats_->has_link()) {
    text += "\nthe other ranks as heard of last\n";
    for (int rank = 1; rank < comm_.size(); ++rank) {
      const RankView view = view_of(rank);
      text += fmt::format("{}: {:.1f} s ago in {}\n", view.name, view.age, describe(view.status));
    }
  }
  try {
    const io::Path directory = dump_directory(step);
    io::create_directories(directory);
    io::write_text_atomically(directory / fmt::format("rank{}.txt", comm_.rank()), text);
  } catch (const std::exception& error) {
    log::warn("the flight recorder could not be written: {}", error.what());
  }
}

}  // namespace motley
