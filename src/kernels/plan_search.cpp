#include "kernels/plan_search.h"

#include <algorithm>

namespace motley::op {
namespace {

/// A plan and how its times compare with those of the plan to beat, round by round.
struct Contender {
  GemmPlan plan;
  std::vector<double> ratios = {};
};

/// The middle one of values, which must not be empty; of two, the larger.
double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

bool is_clearly_faster(const Contender& contender, const SearchSettings& settings) {
  const auto slower = std::count_if(contender.ratios.begin(), contender.ratios.end(),
                                    [](double ratio) { return ratio >= 1; });
  return contender.ratios.size() == settings.rounds && slower <= 1 &&
         median(contender.ratios) <= settings.clear;
}

/// Those of `others` that are worth a closer look.
std::vector<Contender> promising(const GemmPlan& plan, const std::vector<GemmPlan>& others,
                                 const MeasurePlan& measure,
                                 const std::function<bool()>& out_of_time,
                                 const SearchSettings& settings) {
  std::vector<Contender> left;
  for (const GemmPlan& other : others) {
    if (out_of_time()) return {};
    // The first run of a plan builds its kernels and is no measurement.
    if (!measure(other)) continue;
    const std::optional<double> to_beat = measure(plan);
    const std::optional<double> seconds = measure(other);
    if (to_beat && seconds && *seconds <= settings.hopeless * *to_beat) left.push_back({other});
  }
  return left;
}

}  // namespace

std::optional<GemmPlan> faster_plan(const GemmPlan& plan, const std::vector<GemmPlan>& others,
                                    const MeasurePlan& measure,
                                    const std::function<bool()>& out_of_time,
                                    const SearchSettings& settings) {
  std::vector<Contender> left = promising(plan, others, measure, out_of_time, settings);
  for (std::size_t round = 0; round < settings.rounds && !left.empty(); ++round) {
    if (out_of_time()) return std::nullopt;
    const std::optional<double> to_beat = measure(plan);
    if (!to_beat) return std::nullopt;
    for (Contender& contender : left) {
      const std::optional<double> seconds = measure(contender.plan);
      contender.ratios.push_back(seconds ? *seconds / *to_beat : settings.hopeless);
    }
    // Whoever was slower twice cannot become clearly faster any more.
    std::erase_if(left, [](const Contender& contender) {
      return std::count_if(contender.ratios.begin(), contender.ratios.end(),
                           [](double ratio) { return ratio >= 1; }) > 1;
    });
  }
  std::erase_if(left, [&](const Contender& c) { return !is_clearly_faster(c, settings); });
  if (left.empty()) return std::nullopt;
  return std::min_element(left.begin(), left.end(),
                          [](const Contender& a, const Contender& b) {
                            return median(a.ratios) < median(b.ratios);
                          })
      ->plan;
}

std::optional<FoundPlan> search_plan(const Device& device, const GemmShape& shape,
                                     const MeasurePlan& measure,
                                     const std::function<bool()>& out_of_time,
                                     const SearchSettings& settings) {
  const GemmPlan standard = default_plan(device, shape);
  if (out_of_time() || !measure(standard)) return std::nullopt;
  GemmPlan plan = standard;
  for (const PlanChange change : {PlanChange::tile, PlanChange::k_block, PlanChange::row_block}) {
    const auto faster = faster_plan(plan, alternatives(device, shape, plan, change), measure,
                                    out_of_time, settings);
    if (faster) plan = *faster;
  }
  std::vector<double> before;
  Contender found{plan};
  std::vector<double> after;
  for (std::size_t round = 0; round < settings.rounds; ++round) {
    const std::optional<double> standard_seconds = measure(standard);
    const std::optional<double> seconds = plan == standard ? standard_seconds : measure(plan);
    if (!standard_seconds || !seconds) return std::nullopt;
    before.push_back(*standard_seconds);
    after.push_back(*seconds);
    found.ratios.push_back(*seconds / *standard_seconds);
  }
  const double default_seconds = median(before);
  if (plan == standard || !is_clearly_faster(found, settings))
    return FoundPlan{standard, default_seconds, default_seconds};
  return FoundPlan{plan, median(after), default_seconds};
}

}  // namespace motley::op
