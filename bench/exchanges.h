// The exchange of gradients and parameters as a step does it, without a model: what bench_comm
// times.
#pragma once

#include <vector>

#include "dist/host_adder.h"
#include "model/params.h"
#include "tensor/device.h"
#include "train/gradient_reducer.h"

namespace motley::bench {

/// Buckets as a model of this many parameters would have them; see model/params.cpp.
std::vector<Range> buckets_of(std::size_t size);

/// How the leaves of a step lie on the ranks.
enum class Split {
  aligned,  // one leaf a rank, so a rank (and, with ranks 2^n, a host) has one sum to send
  uneven    // eight leaves a rank, two of which the last one took from the first
};

/// Sums over ranks and gathers, on host memory, with the processor.
class HostExchange {
 public:
  /// Collective.
  HostExchange(Communicator& comm, std::size_t size, const ExchangeOptions& options, Split split);

  /// Collective. A step's exchange, this many times.
  void run(std::size_t times);
  /// Collective. Throws CommError unless one more step gives the sum on every rank.
  void check();
  /// Of all time in run(): the part that reduce took.
  double reduce_share() const { return reduce_seconds_ / (reduce_seconds_ + gather_seconds_); }

 private:
  void reserve();
  void reduce();
  void gather();

  Communicator& comm_;
  Exchange exchange_;
  Contributions round_;
  HostAdder adder_;
  double reduce_seconds_ = 0;
  double gather_seconds_ = 0;
};

/// The same by way of train/gradient_reducer.h on a device. Includes what a step does between: the
/// device counts what is not finite.
class DeviceExchange {
 public:
  /// Collective.
  DeviceExchange(Device& device, Communicator& comm, std::size_t size,
                 const ExchangeOptions& options);

  /// Collective. A step's exchange, this many times. Does not include zeroing the gradients.
  void run(std::size_t times);
  /// Of the last run(), for one step.
  double seconds() const { return seconds_; }

 private:
  Device& device_;
  Communicator& comm_;
  GradientReducer reducer_;
  double seconds_ = 0;
};

/// Additions and copies of a step's exchange within one host, by this rank, in its own memory: what
/// the memory allows.
class MemoryWork {
 public:
  MemoryWork(std::size_t size, std::size_t num_ranks);
  void run(std::size_t times);
  /// Read and written once, for each run.
  double bytes() const;

 private:
  std::vector<float> sum_;
  std::vector<float> other_;
  std::size_t num_;
};

}  // namespace motley::bench
