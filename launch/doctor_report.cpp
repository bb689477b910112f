#include "launch/doctor_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace motley::launch {
namespace {

// Lines are printed before all names are known; this is the longest name that most hosts have.
constexpr std::size_t name_width = std::string_view("shared directory").size();

/// How many places speak of a check: where one finding names them all, it needs none.
std::size_t num_places(const std::vector<PlacedFinding>& findings, const std::string& name) {
  std::vector<std::string> places;
  for (const PlacedFinding& placed : findings) {
    if (placed.finding.name != name) continue;
    for (const std::string& place : placed.places) {
      if (std::find(places.begin(), places.end(), place) == places.end()) places.push_back(place);
    }
  }
  return places.size();
}

}  // namespace

std::vector<PlacedFinding> gather_findings(Communicator& comm, const Findings& mine,
                                           const std::string& place) {
  std::vector<PlacedFinding> all;
  const std::vector<std::string> texts = comm.all_gather_text(to_text(mine));
  const std::vector<std::string> places = comm.all_gather_text(place);
  for (std::size_t r = 0; r < texts.size(); ++r) {
    for (Finding& finding : findings_from_text(texts[r]))
      all.push_back({std::move(finding), {places[r]}});
  }
  return merge_findings(all);
}

std::string format_report(const std::vector<PlacedFinding>& findings, int num_ranks) {
  std::string text;
  for (const PlacedFinding& placed : findings) {
    const Finding& finding = placed.finding;
    text += fmt::format("{:<4}  {:<{}}  {}", to_string(finding.verdict), finding.name, name_width,
                        finding.value);
    if (!finding.fix.empty()) text += " -> " + finding.fix;
    const bool is_known = num_ranks == 1 || placed.places.empty() ||
                          placed.places.size() == num_places(findings, finding.name);
    if (!is_known) text += fmt::format("  [{}]", fmt::join(placed.places, ", "));
    text += '\n';
  }
  return text;
}

std::string report_as_json(const std::vector<PlacedFinding>& findings, int num_ranks) {
  nlohmann::ordered_json checks = nlohmann::ordered_json::array();
  for (const PlacedFinding& placed : findings) {
    checks.push_back({{"verdict", to_string(placed.finding.verdict)},
                      {"name", placed.finding.name},
                      {"value", placed.finding.value},
                      {"fix", placed.finding.fix},
                      {"places", placed.places}});
  }
  const nlohmann::ordered_json root{
      {"verdict", to_string(verdict_of(findings))}, {"ranks", num_ranks}, {"checks", checks}};
  // Drivers' names may hold any bytes; they are replaced rather than refused.
  return root.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Verdict verdict_of(const std::vector<PlacedFinding>& findings) {
  Verdict verdict = Verdict::ok;
  for (const PlacedFinding& placed : findings) verdict = std::max(verdict, placed.finding.verdict);
  return verdict;
}

}  // namespace motley::launch
