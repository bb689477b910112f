// Whether a batch system's warning reaches every rank: it goes to the launcher, which has to pass
// it on.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <thread>

#include "dist/doctor.h"
#include "tensor/clock.h"

namespace motley {
namespace {

// A handler can reach nothing but static data.
volatile std::sig_atomic_t has_come = 0;

extern "C" void note_signal(int /*number*/) {
  has_come = 1;
}

constexpr std::array<std::string_view, 4> launchers{"mpirun", "mpiexec", "orterun", "prterun"};
constexpr std::array<std::string_view, 3> daemons{"orted", "prted", "prte"};

template <class Names>
bool is_among(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The program that started this process, by the name that the system gives it; empty where that
/// cannot be seen.
std::string parent_program() {
  const io::Path file = fmt::format("/proc/{}/comm", ::getppid());
  if (!io::exists(file)) return "";
  const std::string name = io::read_system_text(file);
  return name.substr(0, name.find('\n'));
}

bool wait_for_signal() {
  constexpr double patience_s = 5;
  const auto start = Clock::now();
  while (has_come == 0 && seconds_since(start) < patience_s)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return has_come != 0;
}

}  // namespace

std::optional<std::size_t> find_signal_sender(std::span<const std::string> parents) {
  std::optional<std::size_t> sender;
  for (std::size_t r = 0; r < parents.size(); ++r) {
    const bool is_launcher = is_among(launchers, parents[r]);
    if (!is_launcher && !is_among(daemons, parents[r])) return std::nullopt;
    if (is_launcher && !sender) sender = r;
  }
  return sender;
}

Findings check_signals(Communicator& comm) {
  const std::vector<std::string> parents = comm.all_gather_text(parent_program());
  const std::optional<std::size_t> sender = find_signal_sender(parents);
  if (!sender) {
    const std::string parent = parents[0].empty() ? "another program" : parents[0];
    return {
        {Verdict::ok, "signals",
         fmt::format("not tried, as {} started the ranks and not mpirun itself; a script between "
                     "them should end in exec motley, or it dies of the signal",
                     parent),
         ""}};
  }
  // It stays: a signal that comes too late must not end the doctor.
  std::signal(SIGUSR2, note_signal);
  comm.barrier();
  if (static_cast<std::size_t>(comm.rank()) == *sender) ::kill(::getppid(), SIGUSR2);
  const bool mine = wait_for_signal();
  std::vector<std::byte> all(static_cast<std::size_t>(comm.size()));
  const std::byte word{static_cast<std::uint8_t>(mine ? 1 : 0)};
  comm.all_gather(all, std::span(&word, 1));
  std::vector<std::size_t> without;
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (all[r] == std::byte{0}) without.push_back(r);
  }
  if (without.empty()) {
    return {{Verdict::ok, "signals",
             fmt::format("{} passes SIGUSR2 on to every rank, so that training saves and ends",
                         parents[*sender]),
             ""}};
  }
  return {{Verdict::warn, "signals",
           fmt::format("{} does not pass SIGUSR2 on to rank {}", parents[*sender],
                       fmt::join(without, ", ")),
           "a batch system's warning will be lost: set train.save_every, or send the signal to "
           "motley on a host that gets it"}};
}

}  // namespace motley
