#include "train/settle_plans.h"

#include <algorithm>

#include "dist/agree.h"
#include "kernels/gemm_tuner.h"
#include "tensor/log.h"
#include "train/plan_file.h"
#include "train/same_matrix_unit.h"

namespace motley {
namespace {

// Of a run's start: enough for the costliest products with kernels that are built already.
constexpr double automatic_budget_s = 10;

const KindPlans* find_kind(const std::vector<KindPlans>& kinds, const std::string& kind) {
  const auto found =
      std::find_if(kinds.begin(), kinds.end(), [&](const KindPlans& k) { return k.kind == kind; });
  return found == kinds.end() ? nullptr : &*found;
}

std::vector<KindPlans> kinds_from_text(const std::string& text) {
  return kinds_from_json(json::parse(text, "the plans of another rank", json::Kind::checkpoint));
}

/// What rank 0 has, on every rank.
std::optional<std::vector<KindPlans>> share(Communicator& comm,
                                            const std::optional<std::vector<KindPlans>>& stored) {
  const std::string text = comm.rank() == 0 && stored ? to_json(*stored).dump() : "";
  const std::string shared = comm.broadcast_text(text, 0);
  if (shared.empty()) return std::nullopt;
  return kinds_from_text(shared);
}

void settle_unit(Communicator& comm, Device& device, const KindPlans* stored) {
  if (stored != nullptr && stored->unit == MatrixUnit::none)
    device.set_matrix_unit(MatrixUnit::none);
  use_same_matrix_unit(comm, device);
  if (stored != nullptr && device.matrix_unit() != stored->unit)
    log::warn(
        "{} does without the matrix unit that the checkpoint was computed with, so bits will "
        "differ from those of an unbroken run",
        device.info().name);
}

/// Finds plans for what the file lacks and keeps them in it.
void tune_missing(Device& device, const PlanFile& file, std::vector<GemmShape> shapes,
                  GemmPlans& plans) {
  std::erase_if(shapes, [&](const GemmShape& shape) { return plans.contains(shape); });
  if (shapes.empty()) return;
  log::info(
      "tuning {} products of matrices for {}, for up to {} s and once; --device.tune load "
      "does without",
      shapes.size(), device.info().name, automatic_budget_s);
  GemmPlans found;
  for (const op::TunedProduct& product :
       op::tune_products(device.stream(), shapes, {.budget_s = automatic_budget_s}))
    found[product.shape] = product.found.plan;
  file.add(found);
  plans.merge(found);
}

/// The plans for a run's products that this rank loads or finds.
GemmPlans choose_plans(Device& device, const PlanSettings& settings) {
  if (settings.tuning == Tuning::off) return {};
  const PlanFile file(device);
  GemmPlans plans = file.read();
  if (settings.tuning == Tuning::automatic) tune_missing(device, file, settings.shapes, plans);
  std::erase_if(plans, [&](const auto& entry) {
    return std::find(settings.shapes.begin(), settings.shapes.end(), entry.first) ==
           settings.shapes.end();
  });
  return plans;
}

void say_that_kind_is_new(const std::string& kind, const std::vector<KindPlans>& stored) {
  std::string known;
  for (const KindPlans& other : stored) known += (known.empty() ? "" : "; ") + other.kind;
  log::info(
      "the checkpoint does not say how {} multiplies (it knows: {}), so bits may differ from "
      "those of an unbroken run",
      kind, known.empty() ? "nothing" : known);
}

/// Without those of another version of the program that the device could not multiply by.
void set_plans(Device& device, GemmPlans plans) {
  const std::size_t unusable =
      std::erase_if(plans, [&](const auto& entry) { return !op::is_usable(device, entry.second); });
  if (unusable > 0)
    log::warn(
        "{} of the checkpoint's plans for products are none that this program knows; "
        "the defaults take their place, so bits may differ from those of an unbroken run",
        unusable);
  device.set_gemm_plans(std::move(plans));
}

}  // namespace

std::vector<KindPlans> settle_plans(Communicator& comm, Device& device,
                                    const PlanSettings& settings,
                                    const std::optional<std::vector<KindPlans>>& stored) {
  const std::optional<std::vector<KindPlans>> resumed = share(comm, stored);
  std::vector<KindPlans> all = resumed.value_or(std::vector<KindPlans>());
  const std::string kind = kind_of(device);
  const KindPlans* mine = resumed ? find_kind(*resumed, kind) : nullptr;
  if (settings.dtype == Dtype::bf16) settle_unit(comm, device, mine);
  const std::vector<std::string> kinds = comm.all_gather_text(kind);
  const auto leader = std::find(kinds.begin(), kinds.end(), kind) - kinds.begin();
  const std::string text = agree(comm, "choosing how to multiply", [&]() -> std::string {
    if (mine != nullptr || leader != comm.rank()) return "";
    if (resumed) say_that_kind_is_new(kind, *resumed);
    const KindPlans chosen{kind, device.matrix_unit().value_or(MatrixUnit::none),
                           choose_plans(device, settings)};
    return to_json(std::vector{chosen}).dump();
  });
  for (const std::string& other : comm.all_gather_text(text)) {
    if (other.empty()) continue;
    for (KindPlans& chosen : kinds_from_text(other)) all.push_back(std::move(chosen));
  }
  set_plans(device, find_kind(all, kind)->plans);
  return all;
}

}  // namespace motley
