// Options of a subcommand: cxxopts with --help and errors that name the nearest option.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "launch/command.h"
#include "tensor/error.h"
#include "train/suggest.h"

namespace motley::launch {
namespace {

/// "--option" of `--option=value`, "-o" as it is.
std::string spelled_option(const std::string& argument) {
  return argument.substr(0, argument.find('='));
}

std::vector<std::string> option_names(const cxxopts::Options& options) {
  std::vector<std::string> names;
  for (const std::string& group : options.groups()) {
    for (const auto& option : options.group_help(group).options) {
      for (const std::string& name : option.l) names.push_back("--" + name);
      if (!option.s.empty()) names.push_back("-" + option.s);
    }
  }
  return names;
}

/// The argument that cxxopts refused: its exception has the name only inside a sentence.
std::string refused_argument(const std::string& reason, Arguments arguments) {
  for (const std::string& argument : arguments) {
    const std::size_t start = argument.find_first_not_of('-');
    if (start == 0 || start == std::string::npos) continue;
    const std::string name = spelled_option(argument).substr(start);
    if (reason.find("‘" + name + "’") != std::string::npos) return spelled_option(argument);
  }
  return "";
}

/// The option whose value cxxopts could not read: its exception has the value alone.
std::string option_of_value(const std::string& reason, Arguments arguments) {
  std::string before;
  for (const std::string& argument : arguments) {
    const std::size_t equals = argument.find('=');
    const bool joined = argument.starts_with("-") && equals != std::string::npos;
    const std::string value = joined ? argument.substr(equals + 1) : argument;
    const bool is_it = reason.find("‘" + value + "’") != std::string::npos;
    if (is_it && joined) return spelled_option(argument);
    if (is_it && before.starts_with("-")) return before;
    before = argument;
  }
  return "";
}

[[noreturn]] void refuse(const cxxopts::Options& options, Arguments arguments,
                         const std::string& reason) {
  const std::string help = fmt::format("(all: {} --help)", options.program());
  const std::string argument = refused_argument(reason, arguments);
  const std::vector<std::string> names = option_names(options);
  const bool is_unknown =
      !argument.empty() && std::find(names.begin(), names.end(), argument) == names.end();
  if (is_unknown) {
    fail<ConfigError>("usage.unknown-option", "{}\n  no such option{}  {}", argument,
                      suggestion(argument, names), help);
  }
  const std::string option = argument.empty() ? option_of_value(reason, arguments) : "";
  fail<ConfigError>("usage.option", "{}{}\n  {}", option.empty() ? "" : option + ": ", reason,
                    help);
}

cxxopts::ParseResult parse(cxxopts::Options& options, Arguments arguments) {
  std::vector<const char*> argv{"motley"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  try {
    return options.parse(static_cast<int>(argv.size()), argv.data());
  } catch (const cxxopts::exceptions::parsing& e) {
    refuse(options, arguments, e.what());
  }
}

}  // namespace

std::optional<cxxopts::ParseResult> parse_options(cxxopts::Options& options, Arguments arguments) {
  options.add_options()("h,help", "print this text");
  cxxopts::ParseResult result = parse(options, arguments);
  if (result.count("help") > 0) {
    std::fputs(options.help().c_str(), stdout);
    return std::nullopt;
  }
  if (!result.unmatched().empty()) {
    fail<ConfigError>("usage.argument", "'{}' is not expected here\n  (see {} --help)",
                      result.unmatched().front(), options.program());
  }
  return result;
}

std::string required_text(const cxxopts::ParseResult& parsed, const std::string& option) {
  require<ConfigError>(parsed.count(option) > 0, "usage.missing", "--{} is missing; see --help",
                       option);
  return parsed[option].as<std::string>();
}

double timeout_option(const cxxopts::ParseResult& parsed) {
  const double seconds = parsed["timeout"].as<double>();
  require<ConfigError>(seconds >= 1, "usage.option", "--timeout {} must be at least 1 (seconds)",
                       seconds);
  return seconds;
}

bool asks_for_help(Arguments arguments) {
  return std::any_of(arguments.begin(), arguments.end(),
                     [](const std::string& a) { return a == "--help" || a == "-h"; });
}

}  // namespace motley::launch
