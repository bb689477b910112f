// motley eval: the loss of a checkpoint or a Hugging Face model on a validation split.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "dist/agree.h"
#include "dist/job.h"
#include "dist/same_build.h"
#include "dist/watchdog.h"
#include "launch/command.h"
#include "launch/open_device.h"
#include "launch/report.h"
#include "model/decoder.h"
#include "tensor/log.h"
#include "train/checkpoint_weights.h"
#include "train/evaluate.h"

namespace motley::launch {
namespace {

struct EvalRequest {
  io::Path weights;
  io::Path data;
  std::size_t micro_batch = 8;
  std::size_t sequence = 0;
  std::uint64_t tokens = 0;
  double timeout_s = 600;
  bool as_json = false;
  DeviceChoiceSettings device;
};

void print(const Evaluation& result, bool as_json) {
  if (as_json) {
    nlohmann::ordered_json root{
        {"loss", result.loss}, {"perplexity", result.perplexity}, {"tokens", result.tokens}};
    if (result.bits_per_byte) root["bits_per_byte"] = *result.bits_per_byte;
    fmt::print("{}\n", root.dump());
    return;
  }
  fmt::print(
      "loss {:.4f}  perplexity {:.2f}  {}{} tokens\n", result.loss, result.perplexity,
      result.bits_per_byte ? fmt::format("bits per byte {:.4f}  ", *result.bits_per_byte) : "",
      result.tokens);
}

int run_eval(Communicator& comm, const EvalRequest& request) {
  log::set_rank(comm.rank(), comm.size());
  same_build_on_all(comm, MOTLEY_VERSION);
  // Nothing is written: weights and data may be anybody's.
  Watchdog watchdog(comm, {.device = "device " + request.device.use,
                           .step_timeout = request.timeout_s,
                           .limits = {.device = request.timeout_s,
                                      .setup = request.timeout_s,
                                      .evaluate = request.timeout_s}});
  const auto weights =
      agree(comm, "opening the weights", [&] { return open_weights(request.weights); });
  auto dataset = agree(comm, "opening the data", [&] {
    Dataset opened = Dataset::open(request.data, Split::validation);
    opened.limit_vocabulary(weights->config().vocab);
    return opened;
  });
  comm.recorder().enter(Phase::device, 0);
  const auto device = open_device(comm, request.device);
  watchdog.name_device(device->info().name);
  comm.recorder().enter(Phase::setup, 0);
  ParamStore params(*device, weights->config());
  agree(comm, "loading the weights", [&] { load_weights(device->stream(), params, *weights); });
  Decoder decoder(*device, weights->config(), params);
  const std::size_t T = request.sequence == 0 ? weights->config().context : request.sequence;
  comm.recorder().enter(Phase::evaluate, 0);
  const Evaluation result =
      evaluate(*device, comm, decoder, dataset, {{request.micro_batch, T}, request.tokens});
  if (comm.rank() == 0) print(result, request.as_json);
  return 0;
}

}  // namespace

int command_eval(Arguments arguments) {
  cxxopts::Options options("motley eval",
                           "The loss of a run, a checkpoint or a Hugging Face directory on the "
                           "validation split of a data set (or on a single .bin).");
  options.positional_help("WEIGHTS DATA");
  options.add_options()("weights", "run, checkpoint or Hugging Face directory",
                        cxxopts::value<std::string>())("data", "data directory or .bin file",
                                                       cxxopts::value<std::string>())(
      "micro-batch", "sequences at a time", cxxopts::value<std::size_t>()->default_value("8"))(
      "sequence", "tokens in a sequence; 0: the model's context",
      cxxopts::value<std::size_t>()->default_value("0"))(
      "tokens", "how many tokens at most; 0: all",
      cxxopts::value<std::uint64_t>()->default_value("0"))(
      "device", "auto, cpu, gpu, index:N, name:TEXT or pci:ADDRESS, also by rank and host",
      cxxopts::value<std::string>()->default_value("auto"))("share-device",
                                                            "let ranks of a host share a GPU")(
      "one-core", "allow a CPU device that mpirun has bound to one of many cores")(
      "timeout", "seconds without progress after which the job is ended",
      cxxopts::value<double>()->default_value("600"))("json", "print JSON");
  options.parse_positional({"weights", "data"});
  const auto parsed = parse_options(options, arguments);
  if (!parsed) return 0;
  const EvalRequest request{.weights = required_text(*parsed, "weights"),
                            .data = required_text(*parsed, "data"),
                            .micro_batch = (*parsed)["micro-batch"].as<std::size_t>(),
                            .sequence = (*parsed)["sequence"].as<std::size_t>(),
                            .tokens = (*parsed)["tokens"].as<std::uint64_t>(),
                            .timeout_s = timeout_option(*parsed),
                            .as_json = parsed->count("json") > 0,
                            .device = {.use = (*parsed)["device"].as<std::string>(),
                                       .share = parsed->count("share-device") > 0,
                                       .one_core = parsed->count("one-core") > 0}};
  return run_job([&](Communicator& comm) { return run_eval(comm, request); }, report_error);
}

}  // namespace motley::launch
