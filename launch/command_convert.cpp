// motley import and motley export: weights from and to Hugging Face directories.
#include <fmt/format.h>

#include "launch/command.h"
#include "model/hf_weights.h"
#include "tensor/error.h"
#include "train/checkpoint_weights.h"
#include "train/tokenizer.h"

namespace motley::launch {
namespace {

void require_hf(const std::string& format) {
  require<ConfigError>(format == "hf", "usage.format",
                       "there is no format '{}'; the one format is hf", format);
}

Dtype dtype_from(const std::string& name) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f16, Dtype::bf16}) {
    if (name == name_of(dtype)) return dtype;
  }
  fail<ConfigError>("usage.dtype",
                    "there is no dtype '{}'; weights are written as f32, f16 or bf16", name);
}

std::optional<std::size_t> end_of_text(const WeightSource& weights) {
  if (weights.tokenizer().empty()) return std::nullopt;
  return Tokenizer::load(weights.tokenizer()).end_of_text();
}

}  // namespace

int command_import(Arguments arguments) {
  cxxopts::Options options("motley import",
                           "Makes a checkpoint of a Hugging Face directory (GPT-2 or Llama).");
  options.positional_help("DIRECTORY");
  options.add_options()("from", "the format: hf",
                        cxxopts::value<std::string>()->default_value("hf"))(
      "directory", "what to import", cxxopts::value<std::string>())(
      "o,output", "run directory to make", cxxopts::value<std::string>());
  options.parse_positional({"directory"});
  const auto parsed = parse_options(options, arguments);
  if (!parsed) return 0;
  require_hf((*parsed)["from"].as<std::string>());
  const io::Path output = required_text(*parsed, "output");
  const HfWeights weights = HfWeights::open(required_text(*parsed, "directory"));
  const io::Path checkpoint = import_weights(weights, output);
  fmt::print("{} parameters of {} imported to {}\n", num_parameters(weights.config()),
             weights.config().traits().name, checkpoint.string());
  return 0;
}

int command_export(Arguments arguments) {
  cxxopts::Options options("motley export",
                           "Makes a Hugging Face directory that transformers loads.");
  options.positional_help("WEIGHTS");
  options.add_options()("to", "the format: hf", cxxopts::value<std::string>()->default_value("hf"))(
      "weights", "run or checkpoint", cxxopts::value<std::string>())(
      "o,output", "directory to make", cxxopts::value<std::string>())(
      "dtype", "f32, f16 or bf16", cxxopts::value<std::string>()->default_value("f32"));
  options.parse_positional({"weights"});
  const auto parsed = parse_options(options, arguments);
  if (!parsed) return 0;
  require_hf((*parsed)["to"].as<std::string>());
  const io::Path output = required_text(*parsed, "output");
  const auto weights = open_weights(required_text(*parsed, "weights"));
  HfExportSettings settings;
  settings.dtype = dtype_from((*parsed)["dtype"].as<std::string>());
  settings.end_of_text = end_of_text(*weights);
  export_hf(*weights, output, settings);
  fmt::print("{} parameters of {} exported to {}\n", num_parameters(weights->config()),
             weights->config().traits().name, output.string());
  return 0;
}

}  // namespace motley::launch
