// Plans of products as JSON, for checkpoints and the files that tuning leaves.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tensor/device.h"
#include "tensor/gemm_plan.h"
#include "tensor/json.h"

namespace motley {

/// How devices of one kind multiply: what must be the same for a run to have the same bits.
struct KindPlans {
  std::string kind;  // see kind_of()
  MatrixUnit unit = MatrixUnit::none;
  GemmPlans plans;

  bool operator==(const KindPlans&) const = default;
};

/// Devices that multiply alike with the same plans: platform, name and family of kernels.
std::string kind_of(const Device& device);

nlohmann::ordered_json to_json(const GemmPlans& plans);
/// Throws the error of the document's kind. Whether a device can use them is not looked at.
GemmPlans plans_from_json(const json::Value& list);

nlohmann::ordered_json to_json(const std::vector<KindPlans>& kinds);
std::vector<KindPlans> kinds_from_json(const json::Value& list);

}  // namespace motley
