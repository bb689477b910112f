#include "launch/doctor_session.h"

#include <fmt/format.h>

#include <cstdio>

namespace motley::launch {

DoctorSession::DoctorSession(Communicator& comm, Output output) : comm_(comm), output_(output) {}

void DoctorSession::begin(const std::string& name) {
  comm_.recorder().renew();
  notice_.begin(name);
}

Announce DoctorSession::announce() {
  return [this](const std::string& part) { begin(part); };
}

void DoctorSession::on_hosts(const std::string& name, const std::function<Findings()>& check) {
  Findings mine;
  if (comm_.local_rank() == 0) {
    begin(name);
    mine = run_check(name, check);
  }
  begin(comm_.rank() == 0 ? name + " of the other hosts" : "");
  add(gather_findings(comm_, mine, comm_.host()));
}

void DoctorSession::on_ranks(const std::string& name, const std::function<Findings()>& check) {
  begin(comm_.rank() == 0 ? name : "");
  const Findings mine = run_check(name, check);
  add(gather_findings(comm_, mine, comm_.name()));
}

void DoctorSession::together(const std::string& name, const std::function<Findings()>& check) {
  begin(comm_.rank() == 0 ? name : "");
  std::vector<PlacedFinding> findings;
  for (Finding& finding : run_check(name, check)) findings.push_back({std::move(finding), {}});
  add(merge_findings(findings));
}

void DoctorSession::add(std::vector<PlacedFinding> findings) {
  notice_.begin("");
  if (comm_.rank() == 0 && output_ == Output::lines) {
    fmt::print("{}", format_report(findings, comm_.size()));
    std::fflush(stdout);
  }
  for (PlacedFinding& finding : findings) findings_.push_back(std::move(finding));
}

Verdict DoctorSession::finish() {
  if (comm_.rank() == 0 && output_ == Output::json)
    fmt::print("{}", report_as_json(findings_, comm_.size()));
  return verdict_of(findings_);
}

}  // namespace motley::launch
