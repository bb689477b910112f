#include "train/plan_json.h"

#include <array>
#include <utility>

namespace motley {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<const char*, 3> transposes{"none", "a", "b"};
constexpr std::size_t max_number = std::size_t{1} << 40;

/// In files; empty beyond the last.
std::string unit_name(MatrixUnit unit) {
  switch (unit) {
    case MatrixUnit::none:
      return "none";
    case MatrixUnit::avx512_bf16:
      return "avx512_bf16";
    case MatrixUnit::amx:
      return "amx";
    case MatrixUnit::nvidia_mma:
      return "nvidia_mma";
    case MatrixUnit::intel_xmx_8:
      return "intel_xmx_8";
    case MatrixUnit::intel_xmx_16:
      return "intel_xmx_16";
    case MatrixUnit::amd_wmma:
      return "amd_wmma";
    case MatrixUnit::amd_mfma:
      return "amd_mfma";
  }
  return "";
}

MatrixUnit unit_from(const json::Value& value) {
  for (int i = 0; !unit_name(static_cast<MatrixUnit>(i)).empty(); ++i) {
    if (value.as_string() == unit_name(static_cast<MatrixUnit>(i)))
      return static_cast<MatrixUnit>(i);
  }
  value.refuse("is no matrix unit that this program knows");
}

Transpose transpose_from(const json::Value& value) {
  for (std::size_t i = 0; i < transposes.size(); ++i) {
    if (value.as_string() == transposes[i]) return static_cast<Transpose>(i);
  }
  value.refuse("must be none, a or b");
}

Dtype product_dtype_from(const json::Value& value) {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
    if (value.as_string() == name_of(dtype)) return dtype;
  }
  value.refuse("must be f32, bf16 or f16");
}

}  // namespace

std::string kind_of(const Device& device) {
  return device.info().platform + ", " + device.info().name +
         (device.family() == KernelFamily::cpu ? ", cpu kernels" : ", gpu kernels");
}

Json to_json(const GemmPlans& plans) {
  Json list = Json::array();
  for (const auto& [shape, plan] : plans) {
    list.push_back({{"dtype", std::string(name_of(shape.dtype))},
                    {"transpose", transposes[static_cast<std::size_t>(shape.transpose)]},
                    {"M", shape.M},
                    {"N", shape.N},
                    {"K", shape.K},
                    {"tile_rows", plan.tile_rows},
                    {"tile_columns", plan.tile_columns},
                    {"k_block", plan.k_block},
                    {"row_block_bytes", plan.row_block_bytes},
                    {"item_rows", plan.item_rows},
                    {"item_columns", plan.item_columns}});
  }
  return list;
}

GemmPlans plans_from_json(const json::Value& list) {
  GemmPlans plans;
  for (std::size_t i = 0; i < list.length(); ++i) {
    const json::Value row = list.at(i);
    const auto number = [&](std::string_view key) { return row.get(key).as_size(0, max_number); };
    const GemmShape shape{.dtype = product_dtype_from(row.get("dtype")),
                          .transpose = transpose_from(row.get("transpose")),
                          .M = number("M"),
                          .N = number("N"),
                          .K = number("K")};
    plans[shape] = {.tile_rows = number("tile_rows"),
                    .tile_columns = number("tile_columns"),
                    .k_block = number("k_block"),
                    .row_block_bytes = number("row_block_bytes"),
                    .item_rows = number("item_rows"),
                    .item_columns = number("item_columns")};
  }
  return plans;
}

Json to_json(const std::vector<KindPlans>& kinds) {
  Json list = Json::array();
  for (const KindPlans& kind : kinds) {
    list.push_back({{"kind", kind.kind},
                    {"matrix_unit", unit_name(kind.unit)},
                    {"plans", to_json(kind.plans)}});
  }
  return list;
}

std::vector<KindPlans> kinds_from_json(const json::Value& list) {
  std::vector<KindPlans> kinds;
  for (std::size_t i = 0; i < list.length(); ++i) {
    const json::Value row = list.at(i);
    kinds.push_back({.kind = row.get("kind").as_string(),
                     .unit = unit_from(row.get("matrix_unit")),
                     .plans = plans_from_json(row.get("plans"))});
  }
  return kinds;
}

}  // namespace motley
