// Model shapes by name.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/settings.h"

namespace motley {

struct Preset {
  std::string_view name;
  std::string_view summary;
  std::size_t vocab;  // the usual one, for counting and tuning; models take the data's
  ModelSettings model;
};

/// All presets, smallest first.
std::span<const Preset> presets();
/// The preset of a name; nullptr when there is none.
const Preset* find_preset(std::string_view name);
std::vector<std::string> preset_names();

}  // namespace motley
