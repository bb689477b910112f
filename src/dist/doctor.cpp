#include "dist/doctor.h"

#include <algorithm>

#include "tensor/error.h"

namespace motley {
namespace {

// Control characters that occur in no finding.
constexpr char end_of_field = '\x1f';
constexpr char end_of_finding = '\x1e';

std::string clean(std::string text) {
  for (char& c : text) {
    if (c == end_of_field || c == end_of_finding) c = ' ';
  }
  return text;
}

bool is_same(const Finding& a, const Finding& b) {
  return a.verdict == b.verdict && a.name == b.name && a.value == b.value && a.fix == b.fix;
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::warn:
      return "warn";
    case Verdict::fail:
      return "FAIL";
  }
  return "?";
}

Verdict worst(std::span<const Finding> findings) {
  Verdict verdict = Verdict::ok;
  for (const Finding& finding : findings) verdict = std::max(verdict, finding.verdict);
  return verdict;
}

std::string to_text(std::span<const Finding> findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text += std::to_string(static_cast<int>(finding.verdict));
    for (const std::string* field : {&finding.name, &finding.value, &finding.fix})
      text += end_of_field + clean(*field);
    text += end_of_finding;
  }
  return text;
}

Findings findings_from_text(std::string_view text) {
  const auto take = [](std::string_view& from, char end) {
    const std::size_t length = std::min(from.find(end), from.size());
    const std::string_view taken = from.substr(0, length);
    from.remove_prefix(std::min(length + 1, from.size()));
    return taken;
  };
  Findings findings;
  while (!text.empty()) {
    std::string_view record = take(text, end_of_finding);
    const std::string_view verdict = take(record, end_of_field);
    Finding finding;
    finding.verdict = verdict == "0" ? Verdict::ok : verdict == "1" ? Verdict::warn : Verdict::fail;
    finding.name = take(record, end_of_field);
    finding.value = take(record, end_of_field);
    finding.fix = take(record, end_of_field);
    findings.push_back(std::move(finding));
  }
  return findings;
}

Findings run_check(std::string_view name, const std::function<Findings()>& check) {
  try {
    return check();
  } catch (const std::exception& error) {
    std::string text = error.what();
    std::string fix = "see docs/errors.md";
    if (const auto* ours = dynamic_cast<const Error*>(&error)) fix += " on " + ours->code();
    constexpr std::string_view marker = "\n  fix: ";
    if (const std::size_t at = text.find(marker); at != std::string::npos) {
      fix = text.substr(at + marker.size());
      text.resize(at);
    }
    return {{Verdict::fail, std::string(name), text, fix}};
  }
}

Answers ask_ranks(Communicator& comm, std::string_view name,
                  const std::function<std::string()>& local) {
  std::string mine;
  Findings failure = run_check(name, [&]() -> Findings {
    mine = local();
    return {};
  });
  for (Finding& finding : failure) finding.value = comm.name() + ": " + finding.value;
  Answers answers{comm.all_gather_text(mine), {}};
  for (const std::string& text : comm.all_gather_text(to_text(failure))) {
    for (Finding& finding : findings_from_text(text))
      answers.failures.push_back(std::move(finding));
  }
  return answers;
}

std::vector<PlacedFinding> merge_findings(std::span<const PlacedFinding> findings) {
  std::vector<PlacedFinding> merged;
  for (const PlacedFinding& placed : findings) {
    const auto same = std::find_if(merged.begin(), merged.end(), [&](const PlacedFinding& m) {
      return is_same(m.finding, placed.finding);
    });
    if (same == merged.end()) {
      const auto last = std::find_if(merged.rbegin(), merged.rend(), [&](const PlacedFinding& m) {
        return m.finding.name == placed.finding.name;
      });
      merged.insert(last == merged.rend() ? merged.end() : last.base(), placed);
      continue;
    }
    for (const std::string& place : placed.places) {
      if (std::find(same->places.begin(), same->places.end(), place) == same->places.end())
        same->places.push_back(place);
    }
  }
  return merged;
}

}  // namespace motley
