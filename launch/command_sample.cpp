// motley sample: text from a model, printed as it comes.
#include <fmt/format.h>

#include <cstdio>

#include "dist/self_comm.h"
#include "launch/command.h"
#include "launch/open_device.h"
#include "model/decoder.h"
#include "tensor/error.h"
#include "tensor/printable.h"
#include "train/checkpoint_weights.h"
#include "train/generate.h"
#include "train/tokenizer.h"

namespace motley::launch {
namespace {

Tokenizer find_tokenizer(const cxxopts::ParseResult& parsed, const WeightSource& weights) {
  io::Path path = weights.tokenizer();
  if (parsed.count("tokenizer") > 0) path = parsed["tokenizer"].as<std::string>();
  require<ConfigError>(!path.empty(), "sample.tokenizer",
                       "there is no tokenizer.json beside the weights; name one with --tokenizer");
  Tokenizer tokenizer = Tokenizer::load(path);
  require<ConfigError>(tokenizer.vocab_size() <= weights.config().vocab, "sample.tokenizer",
                       "{} has {} tokens, the model knows {}; it is another model's", path.string(),
                       tokenizer.vocab_size(), weights.config().vocab);
  return tokenizer;
}

/// Prints what is whole; the terminal never sees a control character of the model's making.
void print_text(const std::string& text) {
  fmt::print("{}", printable(text));
  require<IoError>(std::fflush(stdout) == 0, "io.failed", "the text could not be written");
}

SamplingSettings sampling_settings(const cxxopts::ParseResult& parsed) {
  SamplingSettings settings;
  settings.temperature = parsed["temperature"].as<float>();
  settings.top_k = parsed["top-k"].as<std::size_t>();
  settings.top_p = parsed["top-p"].as<float>();
  settings.seed = parsed["seed"].as<std::uint64_t>();
  settings.max_tokens = parsed["tokens"].as<std::size_t>();
  check_sampling(settings);
  return settings;
}

void sample(const cxxopts::ParseResult& parsed) {
  const SamplingSettings settings = sampling_settings(parsed);
  const auto weights = open_weights(required_text(parsed, "weights"));
  const Tokenizer tokenizer = find_tokenizer(parsed, *weights);
  SelfComm comm;
  const auto device = open_device(comm, {.use = parsed["device"].as<std::string>()});
  ParamStore params(*device, weights->config());
  load_weights(device->stream(), params, *weights);
  Decoder decoder(*device, weights->config(), params);

  const std::string prompt = parsed["prompt"].as<std::string>();
  std::vector<std::uint32_t> tokens = tokenizer.encode(prompt);
  if (tokens.empty()) tokens.push_back(tokenizer.end_of_text().value_or(0));
  print_text(prompt);
  StreamDecoder text(tokenizer);
  generate(*device, decoder, tokens, settings, [&](std::uint32_t token) {
    if (token == tokenizer.end_of_text()) return false;
    // A model's vocabulary may be padded beyond the tokenizer's.
    if (token < tokenizer.vocab_size()) print_text(text.push(token));
    return true;
  });
  print_text(text.finish() + "\n");
}

}  // namespace

int command_sample(Arguments arguments) {
  cxxopts::Options options("motley sample",
                           "Text from a run, a checkpoint or a Hugging Face directory.");
  options.positional_help("WEIGHTS");
  options.add_options()("weights", "run, checkpoint or Hugging Face directory",
                        cxxopts::value<std::string>())(
      "p,prompt", "how the text begins", cxxopts::value<std::string>()->default_value(""))(
      "n,tokens", "how many tokens at most", cxxopts::value<std::size_t>()->default_value("128"))(
      "temperature", "0 takes the likeliest token always",
      cxxopts::value<float>()->default_value("0.8"))(
      "top-k", "only the k likeliest tokens; 0: all",
      cxxopts::value<std::size_t>()->default_value("0"))(
      "top-p", "only the likeliest tokens that together reach this probability",
      cxxopts::value<float>()->default_value("0.95"))(
      "seed", "the same seed gives the same text",
      cxxopts::value<std::uint64_t>()->default_value("1337"))(
      "tokenizer", "a tokenizer.json; else the one beside the weights",
      cxxopts::value<std::string>())("device", "auto, cpu, gpu, index:N, name:TEXT or pci:ADDRESS",
                                     cxxopts::value<std::string>()->default_value("auto"));
  options.parse_positional({"weights"});
  const auto parsed = parse_options(options, arguments);
  if (!parsed) return 0;
  sample(*parsed);
  return 0;
}

}  // namespace motley::launch
