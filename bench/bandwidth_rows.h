// The ops that memory limits, at sizes far beyond the caches.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tensor/device.h"

namespace motley::bench {

/// One of them, ready to run.
struct BandwidthRow {
  std::string name;
  Dtype dtype;   // of its activations
  double bytes;  // that it must read and write: each tensor once, twice where it adds to one
  /// What the processor moves besides: it reads a line before it writes a part of it, so an output
  /// that is only written crosses the bus twice.
  double allocated;
  bool only_reads;  // or writes next to nothing
  std::function<void()> run;
};

/// Makes a row when it is its turn, so that the tensors of one are in memory at a time.
using BandwidthRowMaker = std::function<BandwidthRow(Device&)>;

/// All of them, with tensors of about `elements` each.
std::vector<BandwidthRowMaker> bandwidth_rows(std::size_t elements);

}  // namespace motley::bench
