// motley config: what the settings are, what they could be, and where each value comes from.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "launch/command.h"
#include "model/config.h"
#include "tensor/error.h"
#include "train/presets.h"
#include "train/settings_toml.h"
#include "train/suggest.h"

namespace motley::launch {
namespace {

void print_help() {
  fmt::print(
      "Usage: motley config show [CONFIG.toml] [--section.key value ...]\n"
      "       motley config keys\n"
      "       motley config presets\n\n"
      "  show     print every setting, as TOML, with where its value comes from\n"
      "  keys     print every setting with its range, default and meaning\n"
      "  presets  print the model shapes that --model.preset names\n\n"
      "Later sources win: defaults, the preset, the TOML file, flags. A flag is --section.key "
      "value\n"
      "or --section.key=value; a switch is --section.key or --section.no-key; the section may be\n"
      "left out where only one has the key.\n");
}

int show(Arguments arguments) {
  fmt::print("{}", to_toml_with_origins(resolve_settings(arguments)));
  return 0;
}

int print_keys(Arguments arguments) {
  require<ConfigError>(arguments.empty(), "usage.argument",
                       "motley config keys takes no arguments");
  fmt::print("{}", describe_settings());
  return 0;
}

int print_presets(Arguments arguments) {
  require<ConfigError>(arguments.empty(), "usage.argument",
                       "motley config presets takes no arguments");
  fmt::print("{:<14}{:>12}  {:>6} {:>6} {:>6} {:>5} {:>3} {:>6} {:>8}\n", "preset", "parameters",
             "vocab", "layers", "width", "heads", "kv", "mlp", "context");
  for (const Preset& preset : presets()) {
    const ModelSettings& m = preset.model;
    const std::size_t count = num_parameters(model_config(m, preset.vocab));
    fmt::print("{:<14}{:>10.1f} M  {:>6} {:>6} {:>6} {:>5} {:>3} {:>6} {:>8}  {}\n", preset.name,
               static_cast<double>(count) / 1e6, preset.vocab, m.layers, m.width, m.heads,
               m.kv_heads, m.mlp_width, m.context, preset.summary);
  }
  fmt::print("The vocabulary is the data's; here it is the usual one, for the count.\n");
  return 0;
}

}  // namespace

int command_config(Arguments arguments) {
  const bool wants_help = std::any_of(arguments.begin(), arguments.end(), [](const std::string& a) {
    return a == "--help" || a == "-h";
  });
  if (wants_help) {
    print_help();
    return 0;
  }
  const std::string what = arguments.empty() ? "" : arguments.front();
  if (what == "show") return show(arguments.subspan(1));
  if (what == "keys") return print_keys(arguments.subspan(1));
  if (what == "presets") return print_presets(arguments.subspan(1));
  const std::vector<std::string> known{"show", "keys", "presets"};
  fail<ConfigError>("usage.unknown-command",
                    "motley config {}\n  no such command{}  (all: motley config --help)", what,
                    suggestion(what, known));
}

}  // namespace motley::launch
