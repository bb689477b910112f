#include "train/faults.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "tensor/error.h"

namespace motley {
namespace {

struct FaultName {
  std::string_view name;
  FaultKind kind;
};
constexpr std::array<FaultName, 6> fault_names{{{"kill", FaultKind::kill},
                                                {"stop", FaultKind::stop},
                                                {"nan", FaultKind::nan},
                                                {"slow", FaultKind::slow},
                                                {"drop-link", FaultKind::drop_link},
                                                {"flip-bit", FaultKind::flip_bit}}};

constexpr double max_slow_factor = 1000;

template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// The part of `text` before the first `separator`, which is taken off it with that part.
std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t end = std::min(text.find(separator), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

/// "slow=3x" is slow with a factor; the others stand alone.
std::optional<Fault> parse_kind(std::string_view text) {
  std::string_view rest = text;
  const std::string_view name = take_until(rest, '=');
  for (const FaultName& row : fault_names) {
    if (row.name != name) continue;
    Fault fault{.kind = row.kind};
    if (row.kind != FaultKind::slow) return name == text ? std::optional(fault) : std::nullopt;
    if (!rest.ends_with('x')) return std::nullopt;
    const auto factor = parse_number<double>(rest.substr(0, rest.size() - 1));
    if (!factor || !(*factor >= 1 && *factor <= max_slow_factor)) return std::nullopt;
    fault.factor = *factor;
    return fault;
  }
  return std::nullopt;
}

std::optional<Fault> parse_fault(std::string_view text) {
  const auto rank = parse_number<int>(take_until(text, ':'));
  const auto step = parse_number<std::uint64_t>(take_until(text, ':'));
  std::optional<Fault> fault = parse_kind(text);
  if (!rank || *rank < 0 || !step || *step == 0 || !fault) return std::nullopt;
  fault->rank = *rank;
  fault->step = *step;
  return fault;
}

}  // namespace

std::vector<Fault> parse_faults(std::string_view text) {
  std::vector<Fault> faults;
  for (bool has_more = !text.empty(); has_more;) {
    has_more = text.find(',') != std::string_view::npos;
    const std::string_view part = take_until(text, ',');
    const std::optional<Fault> fault = parse_fault(part);
    require<ConfigError>(
        fault.has_value(), "config.value",
        "train.inject has '{}'\n  must be RANK:STEP:FAULT, steps from 1; FAULT is kill, stop, nan, "
        "slow=3x (1 to {}), drop-link or flip-bit; several are separated by commas",
        part, max_slow_factor);
    faults.push_back(*fault);
  }
  return faults;
}

void check_faults(const std::vector<Fault>& faults, int num_ranks) {
  for (const Fault& fault : faults) {
    require<ConfigError>(fault.rank < num_ranks, "config.value",
                         "train.inject names rank {}\n  the job has ranks 0 to {}", fault.rank,
                         num_ranks - 1);
  }
}

}  // namespace motley
