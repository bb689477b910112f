// What `motley doctor` finds out: findings, and the checks that need neither kernels nor a device.
// Checks do not throw for what they look for: they report it.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dist/communicator.h"
#include "tensor/device_info.h"
#include "tensor/io.h"

namespace motley {

enum class Verdict { ok, warn, fail };

struct Finding {
  Verdict verdict = Verdict::ok;
  std::string name;   // of the check: "disk"
  std::string value;  // what was found
  std::string fix;    // what to do about it; empty for ok
};
using Findings = std::vector<Finding>;

/// "ok", "warn" or "FAIL".
std::string_view to_string(Verdict verdict);
/// The worst of them; ok for none.
Verdict worst(std::span<const Finding> findings);
/// Findings as one text that ranks can exchange, and back.
std::string to_text(std::span<const Finding> findings);
Findings findings_from_text(std::string_view text);

/// What `check` finds; an error that it throws becomes a finding of the name `name` that fails.
[[nodiscard]] Findings run_check(std::string_view name, const std::function<Findings()>& check);

/// Told the name of each part of a check before it begins.
using Announce = std::function<void(const std::string& part)>;

/// What each rank says, and a finding that fails for each rank that could not say anything.
struct Answers {
  std::vector<std::string> texts;  // by rank; empty for one that failed
  Findings failures;
};

/// Collective. Gathers what `local` says on each rank. An error that it throws on some ranks
/// becomes their findings of the name `name`, and no rank is left waiting. local must not call
/// collectives.
[[nodiscard]] Answers ask_ranks(Communicator& comm, std::string_view name,
                                const std::function<std::string()>& local);

/// A finding and where it was made: hosts or ranks.
struct PlacedFinding {
  Finding finding;
  std::vector<std::string> places;
};

/// Puts equal findings of several places together, and those of one name beside each other, in the
/// order in which they were first made.
std::vector<PlacedFinding> merge_findings(std::span<const PlacedFinding> findings);

// --- this host -----------------------------------------------------------------------------------

/// Operating system, processor, memory, limits and shared memory.
Findings check_system();
/// The file system that holds `directory` (or the nearest parent there is): type, free space, and
/// how long it takes to write, sync and rename a file.
Findings check_disk(const io::Path& directory);
/// The OpenCL loader and its version, and whether every driver that its ICD files name can be
/// loaded. Drivers stay loaded.
Findings check_opencl_drivers(const Announce& announce);

// --- between ranks: collective, the same findings on every rank ----------------------------------

/// Same program, same MPI library, its thread level, the launcher, and names of hosts.
Findings check_ranks(Communicator& comm, std::string_view version);
/// Whether the hosts have a network in common, and Open MPI knows which.
Findings check_network(Communicator& comm);
/// The time and speed of messages from each rank to every other, of 8 bytes, 1 MB and 16 MB; two or
/// more ranks.
Findings check_links(Communicator& comm);
/// Whether sums over ranks are exact and gathered bytes are those that were sent, and how long the
/// sum takes.
Findings check_sums(Communicator& comm);
/// How far the ranks' clocks are apart; two or more ranks.
Findings check_clocks(Communicator& comm);
/// Whether every rank has the same file of settings.
Findings check_settings_file(Communicator& comm, const io::Path& file);
/// Whether a SIGUSR2 to the launcher reaches every rank. The signal is sent, and ignored from then
/// on.
Findings check_signals(Communicator& comm);
/// Which hosts see a file that rank 0 writes into `directory`.
Findings check_shared_directory(Communicator& comm, const io::Path& directory);

// --- the decisions behind them, without the system -----------------------------------------------

/// One network interface of a host: "eth0 10.0.0.1/24" in parts.
struct Interface {
  std::string name;
  std::uint32_t address = 0;  // IPv4, as a number
  int prefix = 0;             // length of the network's part
};

/// Whether hosts with these interfaces can talk. chosen: what btl_tcp_if_include says; empty when
/// it is not set.
Finding judge_networks(std::span<const std::vector<Interface>> hosts, std::string_view chosen);

/// The rank that may send the launcher a signal. parents: the program that started each rank.
/// Nobody where one was not started by Open MPI itself: a shell in between would die of it.
std::optional<std::size_t> find_signal_sender(std::span<const std::string> parents);

struct DriverTrouble {
  std::string text;
  std::string fix;
};
/// What a device's driver is known for; no value for most.
std::optional<DriverTrouble> known_trouble(const DeviceInfo& info);

}  // namespace motley
