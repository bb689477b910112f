// Settings to and from TOML. settings_toml.cpp alone includes toml++.
#pragma once

#include <string>
#include <vector>

#include "tensor/io.h"
#include "train/settings_flags.h"

namespace motley {

/// Everything a TOML file sets, in its order. Throws ConfigError with file, line and column for
/// text that is not TOML, unknown sections and keys (with the nearest valid name) and values out of
/// range.
std::vector<Assignment> read_toml(const io::Path& file);

/// The resolved settings as a TOML file that gives the same settings when read. What holds for one
/// call only (resume, overwrite) is left out.
std::string to_toml(const Settings& settings);

/// The same with each value's origin in a comment, and nothing left out.
std::string to_toml_with_origins(const ResolvedSettings& resolved);

}  // namespace motley
