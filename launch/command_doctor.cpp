// motley doctor: looks at what training needs, alone on a host or as many ranks under a launcher,
// and says what to do about what is missing.
#include <fmt/format.h>

#include <optional>

#include "dist/job.h"
#include "dist/placement_devices.h"
#include "launch/command.h"
#include "launch/doctor_devices.h"
#include "launch/doctor_report.h"
#include "launch/open_device.h"
#include "launch/report.h"
#include "tensor/log.h"

namespace motley::launch {
namespace {

struct DoctorRequest {
  io::Path run = ".";
  bool as_json = false;
  DeviceChoiceSettings device;
};

void append(Findings& to, Findings more) {
  for (Finding& finding : more) to.push_back(std::move(finding));
}

Findings check_host(const DoctorRequest& request, const std::optional<PlacedDevice>& placed) {
  Findings findings = run_check("system", check_system);
  append(findings, run_check("disk", [&] { return check_disk(request.run); }));
  append(findings, run_check("drivers", check_opencl_drivers));
  append(findings, run_check("kernel cache", check_kernel_cache));
  if (placed) append(findings, check_devices(placed->devices));
  return findings;
}

Findings check_job(Communicator& comm, const DoctorRequest& request,
                   const std::optional<PlacedDevice>& placed) {
  Findings findings = check_ranks(comm, MOTLEY_VERSION);
  if (comm.size() > 1) {
    append(findings, run_check("network", [&] { return check_network(comm); }));
    append(findings, run_check("sums", [&] { return check_sums(comm); }));
    append(findings, run_check("clocks", [&] { return check_clocks(comm); }));
    append(findings, run_check("shared directory",
                               [&] { return check_shared_directory(comm, request.run); }));
    append(findings, run_check("links", [&] { return check_links(comm); }));
  }
  append(findings, check_speeds(comm, placed ? &*placed : nullptr));
  return findings;
}

int run_doctor(Communicator& comm, const DoctorRequest& request) {
  log::set_rank(comm.rank(), comm.size());
  Report report;
  std::optional<PlacedDevice> placed;
  // Fails on every rank or on none, for devices are agreed on.
  report.of_rank = run_check("device", [&] {
    placed = place_device(comm, request.device);
    return check_placement(*placed, request.device);
  });
  if (comm.local_rank() == 0) report.of_host = check_host(request, placed);
  report.of_job = check_job(comm, request, placed);
  const std::vector<PlacedFinding> findings = gather_report(comm, report);
  if (comm.rank() == 0) {
    fmt::print("{}", request.as_json ? report_as_json(findings, comm.size())
                                     : format_report(findings, comm.size()));
  }
  const bool failed = verdict_of(findings) == Verdict::fail;
  return static_cast<int>(failed ? ExitCode::environment : ExitCode::ok);
}

}  // namespace

int command_doctor(Arguments arguments) {
  cxxopts::Options options(
      "motley doctor",
      "Checks what training needs: the host, its drivers and devices, and under mpirun or srun "
      "what "
      "ranks have in common, their network and their speeds. Ends with 3 when something fails.\n");
  options.add_options()("run", "directory of runs, for its disk and whether hosts share it",
                        cxxopts::value<std::string>()->default_value("."))(
      "device", "as for train: auto, cpu, gpu, index:N, name:TEXT, pci:ADDRESS, lists of these",
      cxxopts::value<std::string>()->default_value("auto"))(
      "share-device", "let ranks of a host share a device")("json", "print JSON");
  const auto parsed = parse_options(options, arguments);
  if (!parsed) return 0;
  DoctorRequest request;
  request.run = (*parsed)["run"].as<std::string>();
  request.as_json = parsed->count("json") > 0;
  request.device.use = (*parsed)["device"].as<std::string>();
  request.device.share = parsed->count("share-device") > 0;
  return run_job([&](Communicator& comm) { return run_doctor(comm, request); }, report_error);
}

}  // namespace motley::launch
