// The options that several programs of this folder have alike.
#pragma once

#include <cxxopts.hpp>
#include <string>

#include "tensor/dtype.h"
#include "tensor/error.h"
#include "train/settings.h"

namespace motley::bench {

inline void add_device_options(cxxopts::Options& options) {
  options.add_options()("device", "as --device.use of motley train",
                        cxxopts::value<std::string>()->default_value("auto"))(
      "kernels", "auto, cpu or gpu", cxxopts::value<std::string>()->default_value("auto"))(
      "h,help", "this text");
}

inline DeviceChoiceSettings device_choice(const cxxopts::ParseResult& parsed) {
  DeviceChoiceSettings choice;
  choice.use = parsed["device"].as<std::string>();
  choice.kernels = parsed["kernels"].as<std::string>();
  return choice;
}

inline void add_dtype_option(cxxopts::Options& options) {
  options.add_options()("dtype", "of activations, f32, bf16 or f16",
                        cxxopts::value<std::string>()->default_value("f32"));
}

/// Throws ConfigError for what is none.
inline Dtype chosen_dtype(const cxxopts::ParseResult& parsed) {
  const std::string dtype = parsed["dtype"].as<std::string>();
  for (const Dtype known : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
    if (dtype == name_of(known)) return known;
  }
  fail<ConfigError>("bench.dtype", "'{}' is no dtype of activations; give f32, bf16 or f16", dtype);
}

inline void add_workload_option(cxxopts::Options& options) {
  options.add_options()("workload", "w1, w2, w3 or w4",
                        cxxopts::value<std::string>()->default_value("w1"));
}

}  // namespace motley::bench
