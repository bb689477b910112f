// The subcommands of the program. Each takes what follows its name and returns an exit code; errors
// are thrown, and main alone turns them into text.
#pragma once

#include <cxxopts.hpp>
#include <optional>
#include <span>
#include <string>

namespace motley::launch {

using Arguments = std::span<const std::string>;

int command_devices(Arguments arguments);
int command_doctor(Arguments arguments);
int command_tokenizer(Arguments arguments);
int command_data(Arguments arguments);
int command_config(Arguments arguments);
int command_tune(Arguments arguments);
int command_train(Arguments arguments);
int command_eval(Arguments arguments);
int command_sample(Arguments arguments);
int command_ckpt(Arguments arguments);
int command_import(Arguments arguments);
int command_export(Arguments arguments);

/// Parses `arguments` by `options`. No value when --help was asked for and printed. Throws
/// ConfigError, naming the nearest valid option, for one that does not exist.
std::optional<cxxopts::ParseResult> parse_options(cxxopts::Options& options, Arguments arguments);

/// The text of an option that has no default. Throws ConfigError when it was not given.
std::string required_text(const cxxopts::ParseResult& parsed, const std::string& option);

/// The option --timeout, in seconds. Throws ConfigError unless it is at least 1.
double timeout_option(const cxxopts::ParseResult& parsed);

/// Whether --help or -h is among the arguments.
bool asks_for_help(Arguments arguments);

}  // namespace motley::launch
