// Settings by section and key.
#include "train/settings_table.h"

namespace motley {

const Setting* find_setting(std::string_view section, std::string_view key) {
  for (const Setting& row : settings_table()) {
    if (row.section == section && row.key == key) return &row;
  }
  return nullptr;
}

std::vector<std::string> setting_sections() {
  std::vector<std::string> names;
  for (const Setting& row : settings_table()) {
    if (names.empty() || names.back() != row.section) names.emplace_back(row.section);
  }
  return names;
}

std::vector<std::string> setting_keys(std::string_view section) {
  std::vector<std::string> names;
  for (const Setting& row : settings_table()) {
    if (section.empty() || row.section == section) names.emplace_back(row.key);
  }
  return names;
}

}  // namespace motley
