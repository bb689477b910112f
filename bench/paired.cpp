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

nlohmann::ordered_json Timing::to_json() const {
  return {{"name", name},
          {"median_s", median()},
          {"min_s", seconds.front()},
          {"max_s", seconds.back()},
          {"repeats", seconds.size()}};
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
  for (Timing& timing : timings) std::sort(timing.seconds.begin(), timing.seconds.end());
  return timings;
}

}  // namespace motley::bench
