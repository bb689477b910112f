#include "bench/paired.h"

#include <algorithm>
#include <cmath>

#include "tensor/clock.h"

namespace motley::bench {
namespace {

double seconds_of_slowest(Communicator& comm, const Contender& contender, std::size_t times) {
  comm.barrier();
  const auto start = Clock::now();
  contender.work(times);
  const double elapsed = seconds_since(start);
  const double seconds =
      contender.seconds ? contender.seconds() : elapsed / static_cast<double>(times);
  return static_cast<double>(comm.all_reduce_max(std::llround(seconds * 1e9))) * 1e-9;
}

}  // namespace

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

nlohmann::ordered_json Timing::to_json() const {
  const auto [least, most] = std::minmax_element(seconds.begin(), seconds.end());
  return {{"name", name},
          {"median_s", median()},
          {"min_s", *least},
          {"max_s", *most},
          {"repeats", seconds.size()}};
}

std::vector<double> ratios(const Timing& a, const Timing& b) {
  std::vector<double> result(a.seconds.size());
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = b.seconds.at(i) / a.seconds[i];
  std::sort(result.begin(), result.end());
  return result;
}

std::vector<Timing> time_paired(Communicator& comm, const std::vector<Contender>& contenders,
                                std::size_t repeats, std::size_t times) {
  std::vector<Timing> timings;
  for (const Contender& contender : contenders) {
    seconds_of_slowest(comm, contender, 1);
    timings.push_back({contender.name, {}});
  }
  for (std::size_t round = 0; round < repeats; ++round) {
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      const std::size_t next = (i + round) % contenders.size();
      timings[next].seconds.push_back(seconds_of_slowest(comm, contenders[next], times));
    }
  }
  return timings;
}

}  // namespace motley::bench
