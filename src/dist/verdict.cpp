#include "dist/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

namespace motley {
namespace {

constexpr std::size_t warm_up_steps = 5;
constexpr double shortest_limit = 60;
constexpr double limit_over_p99 = 5;
constexpr double percentile = 0.99;

using Ranks = std::vector<int>;  // indices of views

const RankView& at(std::span<const RankView> views, int rank) {
  return views[static_cast<std::size_t>(rank)];
}

double stretch(const RankView& view) {
  return view.status.stretch_seconds + view.age;
}

bool is_over(const RankView& view, const StallLimits& limits) {
  return stretch(view) > limits.of(view.status);
}

bool contains(const Ranks& ranks, int rank) {
  return std::find(ranks.begin(), ranks.end(), rank) != ranks.end();
}

/// How far a rank has come. A rank that communicates waits for others; one that does not is still
/// busy with its own work and so behind those that wait at the same place.
auto position(const RankStatus& status) {
  const bool communicates = !status.operation_name().empty();
  return std::tuple(status.step, status.phase, communicates ? status.bucket : -1, communicates);
}

Ranks furthest_behind(std::span<const RankView> views) {
  Ranks behind;
  for (int rank = 0; rank < static_cast<int>(views.size()); ++rank) {
    const auto here = position(at(views, rank).status);
    const auto lowest = behind.empty() ? here : position(at(views, behind.front()).status);
    if (here < lowest) behind.clear();
    if (here <= lowest) behind.push_back(rank);
  }
  return behind;
}

/// The first two ranks that wait for each other; none when there are no such two.
Ranks waiting_for_each_other(std::span<const RankView> views) {
  const int size = static_cast<int>(views.size());
  for (int a = 0; a < size; ++a) {
    const int b = at(views, a).status.peer;
    if (b > a && b < size && at(views, b).status.peer == a) return {a, b};
  }
  return {};
}

std::string names(std::span<const RankView> views, const Ranks& ranks) {
  std::string text;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (i > 0) text += i + 1 == ranks.size() ? " and " : ", ";
    text += at(views, ranks[i]).name;
  }
  return text;
}

/// What a rank that waits is waiting in: "'reduce bucket 3'", or the phase of one that is not in an
/// operation.
std::string waits_in(const RankStatus& status) {
  if (status.operation_name().empty()) return std::string(name_of(status.phase));
  if (status.bucket < 0) return fmt::format("'{}'", status.operation_name());
  return fmt::format("'{} bucket {}'", status.operation_name(), status.bucket);
}

/// "; 2 ranks wait for it in 'reduce bucket 3'": the most frequent place of the others.
std::string waiters(std::span<const RankView> views, const Ranks& blamed,
                    const StallLimits& limits) {
  std::map<std::string, int> places;
  for (int rank = 0; rank < static_cast<int>(views.size()); ++rank) {
    const RankView& view = at(views, rank);
    if (!contains(blamed, rank) && view.age <= limits.silence()) ++places[waits_in(view.status)];
  }
  if (places.empty()) return "";
  const auto most = std::max_element(places.begin(), places.end(),
                                     [](auto& a, auto& b) { return a.second < b.second; });
  return fmt::format("; {} {} for {} in {}", most->second,
                     most->second == 1 ? "rank waits" : "ranks wait",
                     blamed.size() == 1 ? "it" : "them", most->first);
}

/// "step 7, compute", for each of the ranks if they are several.
std::string last_seen(std::span<const RankView> views, const Ranks& ranks) {
  std::string text;
  for (const int rank : ranks) {
    const std::string where = describe(at(views, rank).status);
    if (text.find(where) != std::string::npos) continue;
    text += (text.empty() ? "" : " and ") + where;
  }
  return text;
}

StallVerdict blame_silent(std::span<const RankView> views, const Ranks& silent,
                          const StallLimits& limits) {
  double age = 0;
  for (const int rank : silent) age = std::max(age, at(views, rank).age);
  return {.ranks = silent,
          .step = 0,
          .text = fmt::format("{} {} not been heard of for {:.0f} s; last seen in {}{}",
                              names(views, silent), silent.size() == 1 ? "has" : "have", age,
                              last_seen(views, silent), waiters(views, silent, limits))};
}

StallVerdict blame_own_link(const RankView& mine, double link_age) {
  return {.ranks = {0},
          .step = 0,
          .text = fmt::format(
              "{}: its communication thread has not run for {:.0f} s, so it can neither send nor "
              "receive; last seen in {}",
              mine.name, link_age, describe(mine.status))};
}

StallVerdict blame_nobody_heard(std::span<const RankView> views) {
  double age = 0;
  for (const RankView& view : views) age = std::max(age, view.age);
  return {.ranks = {0},
          .step = 0,
          .text = fmt::format("{} has not heard of any of the {} other ranks for {:.0f} s: its "
                              "own link is cut, or all the others stand; last seen in {}",
                              views[0].name, views.size() - 1, age, describe(views[0].status))};
}

/// All ranks are heard of.
StallVerdict blame_position(std::span<const RankView> views, const StallLimits& limits) {
  const Ranks behind = furthest_behind(views);
  const double seconds = stretch(at(views, behind.front()));
  if (behind.size() < views.size() || views.size() == 1) {
    return {.ranks = behind,
            .step = 0,
            .text = fmt::format("{} {} without progress for {:.0f} s in {}{}", names(views, behind),
                                behind.size() == 1 ? "is" : "are", seconds,
                                last_seen(views, behind), waiters(views, behind, limits))};
  }
  const Ranks pair = waiting_for_each_other(views);
  if (!pair.empty()) {
    return {.ranks = pair,
            .step = 0,
            .text = fmt::format("{} have waited for each other for {:.0f} s in {}: the link "
                                "between them may be cut",
                                names(views, pair), seconds, last_seen(views, pair))};
  }
  return {.ranks = {},
          .step = 0,
          .text = fmt::format("all {} ranks have been without progress for {:.0f} s in {}; no "
                              "rank is behind the others",
                              views.size(), seconds, last_seen(views, behind))};
}

StallVerdict blame(std::span<const RankView> views, const StallLimits& limits, double link_age) {
  if (link_age > limits.silence()) return blame_own_link(views[0], link_age);
  Ranks silent;
  for (int rank = 1; rank < static_cast<int>(views.size()); ++rank) {
    if (at(views, rank).age > limits.silence()) silent.push_back(rank);
  }
  if (silent.empty()) return blame_position(views, limits);
  // Of two ranks each is all the others; then the other is more likely to be the one.
  if (views.size() > 2 && silent.size() + 1 == views.size()) return blame_nobody_heard(views);
  return blame_silent(views, silent, limits);
}

}  // namespace

double StallLimits::of(const RankStatus& status) const {
  switch (status.phase) {
    case Phase::compute:
    case Phase::reduce:
    case Phase::update:
      return status.num_steps == 0 ? std::max(first_step, step) : step;
    case Phase::device:
      return device;
    case Phase::setup:
      return setup;
    case Phase::evaluate:
      return evaluate;
    case Phase::sample:
      return sample;
    case Phase::save:
      return save;
    case Phase::finish:
      break;
  }
  return finish;
}

double StallLimits::silence() const {
  return std::clamp(step / 4, 3.0, 15.0);
}

double step_limit(std::span<const double> step_seconds, double timeout, double first_step) {
  if (timeout > 0) return timeout;
  if (step_seconds.size() < warm_up_steps) return first_step;
  std::vector<double> sorted(step_seconds.begin(), step_seconds.end());
  const auto nearest =
      static_cast<std::size_t>(std::ceil(percentile * static_cast<double>(sorted.size())));
  const auto p99 = sorted.begin() + static_cast<std::ptrdiff_t>(nearest) - 1;
  std::nth_element(sorted.begin(), p99, sorted.end());
  return std::max(shortest_limit, limit_over_p99 * *p99);
}

std::optional<StallVerdict> judge(std::span<const RankView> views, const StallLimits& limits,
                                  double link_age) {
  for (const RankView& view : views) {
    if (view.age <= limits.silence() && !is_over(view, limits)) return std::nullopt;
  }
  StallVerdict verdict = blame(views, limits, link_age);
  for (const RankView& view : views) verdict.step = std::max(verdict.step, view.status.step);
  for (int& rank : verdict.ranks) rank = at(views, rank).rank;
  return verdict;
}

std::optional<StallVerdict> judge_alone(const RankView& mine, const RankView& rank0,
                                        const StallLimits& limits, double link_age, double grace) {
  const double over = stretch(mine) - limits.of(mine.status);
  if (over <= grace) return std::nullopt;
  StallVerdict verdict;
  if (link_age > limits.silence()) {
    verdict = blame_own_link(mine, link_age);
    verdict.ranks = {mine.rank};
  } else if (rank0.age > limits.silence()) {
    verdict.ranks = {rank0.rank};
    verdict.text = fmt::format(
        "{} has not been heard of for {:.0f} s; last seen in {}; {} waits in {}", rank0.name,
        rank0.age, describe(rank0.status), mine.name, waits_in(mine.status));
  } else {
    return std::nullopt;
  }
  verdict.step = std::max(mine.status.step, rank0.status.step);
  return verdict;
}

}  // namespace motley
