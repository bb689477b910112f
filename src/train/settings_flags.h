// Settings on a command line: `[CONFIG.toml] [--section.key value ...]`.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensor/io.h"
#include "train/settings_table.h"

namespace motley {

/// A value that somebody gave a setting, and where: "run.toml:7" or "--optim.lr".
struct Assignment {
  const Setting* row;
  SettingValue value;
  std::string origin;
};

struct CommandLine {
  std::optional<io::Path> file;
  std::vector<Assignment> flags;
};

/// Reads `--section.key value`, `--section.key=value` and, for switches, `--section.key` and
/// `--section.no-key`; dashes in keys count as underscores; the section may be left out where only
/// one has the key, and some have another name besides: --device for --device.use. One argument
/// that is not a flag is the file. Throws ConfigError naming the nearest valid flag.
CommandLine read_command_line(std::span<const std::string> arguments);

}  // namespace motley
