// motley tune: finds out how this device multiplies a model's matrices fastest, and keeps it.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "dist/agree.h"
#include "dist/job.h"
#include "kernels/gemm_tiled.h"
#include "kernels/gemm_tuner.h"
#include "kernels/matrix_unit.h"
#include "kernels/peak.h"
#include "launch/command.h"
#include "launch/open_device.h"
#include "launch/report.h"
#include "model/products.h"
#include "tensor/error.h"
#include "train/checkpoint_weights.h"
#include "train/dataset.h"
#include "train/plan_file.h"
#include "train/presets.h"
#include "train/settings.h"
#include "train/settings_table.h"

namespace motley::launch {
namespace {

/// The model that `motley train` would train with these settings; without data and model.vocab, of
/// the preset's usual vocabulary.
ModelConfig model_to_tune(const Settings& settings) {
  if (!settings.train.init_from.empty()) return open_weights(settings.train.init_from)->config();
  if (!settings.data.path.empty()) {
    const auto vocab = Dataset::open(settings.data.path, Split::train).vocab_size();
    if (vocab) return model_config(settings.model, *vocab);
  }
  if (settings.model.vocab > 0) return model_config(settings.model, settings.model.vocab);
  const std::size_t vocab = find_preset(settings.model.preset)->vocab;
  fmt::print("vocabulary  {} tokens, as usual with {}; data.path or model.vocab say another\n",
             vocab, settings.model.preset);
  return model_config(settings.model, vocab);
}

std::string describe(const GemmPlan& plan, const GemmPlan& standard) {
  if (plan == standard) return "default";
  if (plan.item_rows > 0) return op::to_string(op::tiled_from(plan));
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  if (plan.tile_rows != standard.tile_rows || plan.tile_columns != standard.tile_columns)
    add(fmt::format("tiles of {} x {}", plan.tile_rows, plan.tile_columns));
  if (plan.k_block != standard.k_block) add(fmt::format("blocks of {} k", plan.k_block));
  if (plan.row_block_bytes != standard.row_block_bytes)
    add(fmt::format("rows of {} KiB", plan.row_block_bytes >> 10));
  return text;
}

void print_table(const Device& device, const std::vector<Product>& products,
                 const std::vector<op::TunedProduct>& tuned, double peak) {
  fmt::print("{:<26} {:>20} {:>12} {:>12} {:>6}  {}\n", "product", "M x N x K", "default GF/s",
             "best GF/s", "peak", "plan");
  double default_seconds = 0;
  double seconds = 0;
  for (const auto& [shape, found] : tuned) {
    const GemmShape& own = shape;
    const Product& product = *std::find_if(products.begin(), products.end(),
                                           [&](const Product& p) { return p.shape == own; });
    const double best = shape.flops() / found.seconds;
    fmt::print("{:<26} {:>20} {:>12.0f} {:>12.0f} {:>5.0f}%  {}\n", product.name,
               fmt::format("{} x {} x {}", shape.M, shape.N, shape.K),
               shape.flops() / found.default_seconds * 1e-9, best * 1e-9, 100 * best / peak,
               describe(found.plan, op::default_plan(device, shape)));
    const auto count = static_cast<double>(product.count);
    default_seconds += count * found.default_seconds;
    seconds += count * found.seconds;
  }
  fmt::print(
      "a micro-batch  {:.1f} ms by the defaults, {:.1f} ms by these plans: {:.2f} times as "
      "fast\n",
      1e3 * default_seconds, 1e3 * seconds, default_seconds / seconds);
}

int run_tune(Communicator& comm, const Settings& settings) {
  const ModelConfig model = model_to_tune(settings);
  const std::size_t T = settings.train.sequence == 0 ? model.context : settings.train.sequence;
  const Dtype dtype = activation_dtype(settings.model);
  const std::unique_ptr<Device> device = open_device(comm, settings.device);
  Stream& s = device->stream();
  if (dtype == Dtype::bf16) op::find_matrix_unit(s);
  fmt::print("device      {}, {} compute units\n", device->info().name,
             device->info().compute_units);
  fmt::print("micro-batch {} x {} tokens in {}\n", settings.train.micro_batch, T, name_of(dtype));
  const std::vector<Product> products =
      training_products(model, settings.train.micro_batch, T, dtype);
  std::vector<GemmShape> shapes;
  shapes.reserve(products.size());
  for (const Product& product : products) shapes.push_back(product.shape);
  fmt::print("timing      {} products in several ways each\n", shapes.size());
  std::fflush(stdout);
  const std::vector<op::TunedProduct> tuned = op::tune_products(s, shapes);
  // Afterwards: a processor that has just begun to compute may not be at its speed yet.
  const Peaks peaks = measure_peaks(*device);
  fmt::print("peak        {:.0f} GF/s in {}\n", peaks.flops * 1e-9, name_of(peaks.dtype));
  print_table(*device, products, tuned, peaks.flops);
  GemmPlans plans;
  for (const op::TunedProduct& product : tuned) plans[product.shape] = product.found.plan;
  const PlanFile file(*device);
  file.add(plans);
  if (file.path().empty()) {
    fmt::print("nothing is kept, because there is no directory for it; name one by device.cache\n");
  } else {
    fmt::print("kept in {}: runs of these sizes use it, unless device.tune = \"off\"\n",
               file.path().string());
  }
  return 0;
}

}  // namespace

int command_tune(Arguments arguments) {
  if (asks_for_help(arguments)) {
    fmt::print(
        "Usage: motley tune [CONFIG.toml] [--section.key value ...]\n\n"
        "Times the products of matrices that training a model consists of, cut in several ways,\n"
        "and keeps the fastest for later runs on this device. It takes what `motley train` takes;\n"
        "the model, train.micro_batch, train.sequence, model.dtype and device.* matter. A minute "
        "or\n"
        "two on an otherwise idle machine. A run that has begun goes on as it is.\n\n{}",
        describe_settings());
    return 0;
  }
  return run_job(
      [&](Communicator& comm) { return run_tune(comm, resolve_settings(arguments).values); },
      report_error);
}

}  // namespace motley::launch
