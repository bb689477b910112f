// motley doctor: looks at what training needs, alone on a host or as many ranks under a launcher,
// and says what to do about what is missing.
#include <fmt/format.h>

#include <optional>

#include "dist/job.h"
#include "dist/watchdog.h"
#include "launch/command.h"
#include "launch/doctor_devices.h"
#include "launch/doctor_session.h"
#include "launch/open_device.h"
#include "launch/report.h"
#include "tensor/log.h"

namespace motley::launch {
namespace {

struct DoctorRequest {
  io::Path run = ".";
  std::string settings;  // a file; empty: not compared
  DoctorSession::Output output = DoctorSession::Output::lines;
  double timeout_s = 300;
  DeviceChoiceSettings device;
};

int run_doctor(Communicator& comm, const DoctorRequest& request) {
  log::set_rank(comm.rank(), comm.size());
  const Watchdog watchdog(comm, {.device = "device " + request.device.use,
                                 .step_timeout = request.timeout_s,
                                 .limits = {.setup = request.timeout_s}});
  DoctorSession session(comm, request.output);
  session.on_hosts("system", check_system);
  session.on_hosts("disk", [&] { return check_disk(request.run); });
  session.on_hosts("kernel cache", check_kernel_cache);
  // Before devices are listed, which loads all drivers at once: one that hangs is named here.
  session.on_hosts("drivers", [&] { return check_opencl_drivers(session.announce()); });
  std::optional<PlacedDevice> placed;
  // Fails on every rank or on none, for devices are agreed on.
  session.on_ranks("device", [&] {
    placed = place_device(comm, request.device);
    return check_placement(*placed, request.device);
  });
  session.on_hosts("devices", [&] {
    return placed ? check_devices(placed->devices, session.announce()) : Findings{};
  });
  session.together("ranks", [&] { return check_ranks(comm, MOTLEY_VERSION); });
  if (!request.settings.empty())
    session.together("settings", [&] { return check_settings_file(comm, request.settings); });
  if (comm.size() > 1) {
    session.together("signals", [&] { return check_signals(comm); });
    session.together("network", [&] { return check_network(comm); });
    session.together("sums", [&] { return check_sums(comm); });
    session.together("clocks", [&] { return check_clocks(comm); });
    session.together("shared directory", [&] { return check_shared_directory(comm, request.run); });
    session.together("links", [&] { return check_links(comm); });
  }
  session.together("speed", [&] { return check_speeds(comm, placed ? &*placed : nullptr); });
  const bool failed = session.finish() == Verdict::fail;
  return static_cast<int>(failed ? ExitCode::environment : ExitCode::ok);
}

}  // namespace

int command_doctor(Arguments arguments) {
  cxxopts::Options options(
      "motley doctor",
      "Checks what training needs: the host, its drivers and devices, and under mpirun or srun "
      "what "
      "ranks have in common, their network and their speeds. Ends with 3 when something fails.\n");
  options.positional_help("[SETTINGS.toml]");
  options.add_options()("settings", "a file of settings, to compare between ranks",
                        cxxopts::value<std::string>()->default_value(""))(
      "run", "directory of runs, for its disk and whether hosts share it",
      cxxopts::value<std::string>()->default_value("."))(
      "device", "as for train: auto, cpu, gpu, index:N, name:TEXT, pci:ADDRESS, lists of these",
      cxxopts::value<std::string>()->default_value("auto"))("share-device",
                                                            "let ranks of a host share a device")(
      "timeout", "seconds after which a check that stands still ends the job",
      cxxopts::value<double>()->default_value("300"))("json", "print JSON at the end");
  options.parse_positional({"settings"});
  const auto parsed = parse_options(options, arguments);
  if (!parsed) return 0;
  DoctorRequest request;
  request.settings = (*parsed)["settings"].as<std::string>();
  request.run = (*parsed)["run"].as<std::string>();
  if (parsed->count("json") > 0) request.output = DoctorSession::Output::json;
  request.timeout_s = timeout_option(*parsed);
  request.device.use = (*parsed)["device"].as<std::string>();
  request.device.share = parsed->count("share-device") > 0;
  return run_job([&](Communicator& comm) { return run_doctor(comm, request); }, report_error);
}

}  // namespace motley::launch
