// What tuning has found for a device, on disk: one file beside the built kernels for each
// combination of what could change which plan is fastest.
#pragma once

#include <string>

#include "tensor/device.h"
#include "tensor/gemm_plan.h"
#include "tensor/io.h"

namespace motley {

class PlanFile {
 public:
  /// The file for this device as it is: its name, driver, platform, compute units, family of
  /// kernels and matrix unit, and the kernels' sources. Nothing is read yet.
  explicit PlanFile(const Device& device);

  /// Empty where the device keeps nothing on disk.
  const io::Path& path() const { return path_; }
  /// The plans in the file that the device can use; none without a file. One that is damaged or
  /// another device's is a line of the log.
  GemmPlans read() const;
  /// Adds plans to those in the file, in one step; others of the same shape are replaced. A file
  /// that cannot be written is a line of the log.
  void add(const GemmPlans& plans) const;

 private:
  const Device& device_;
  std::string key_;
  io::Path path_;
};

}  // namespace motley
