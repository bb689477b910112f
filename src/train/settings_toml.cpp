#include "train/settings_toml.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>

#include "tensor/error.h"
#include "train/suggest.h"

namespace motley {
namespace {

constexpr std::uint64_t max_file_bytes = 1 << 20;

std::string place(const io::Path& file, const toml::source_region& source) {
  return fmt::format("{}:{}:{}", file.string(), source.begin.line, source.begin.column);
}

/// A scalar as it would stand on a command line, where settings are read from.
std::string scalar_text(const toml::node& node, const Setting& row, const std::string& where) {
  const bool fits_kind = row.kind == SettingKind::boolean ? node.is_boolean()
                         : row.kind == SettingKind::text || row.kind == SettingKind::choice
                             ? node.is_string()
                             : node.is_integer() || node.is_floating_point() || node.is_string();
  require<ConfigError>(fits_kind, "config.type", "{}  [{}] {} has the wrong type\n  must be {}",
                       where, row.section, row.key, describe_range(row));
  if (const auto flag = node.value_exact<bool>()) return *flag ? "true" : "false";
  if (const auto count = node.value_exact<std::int64_t>()) return fmt::format("{}", *count);
  if (const auto number = node.value_exact<double>()) return fmt::format("{}", *number);
  return node.value_exact<std::string>().value_or("");
}

Assignment read_entry(const io::Path& file, std::string_view section, const toml::key& key,
                      const toml::node& node) {
  const Setting* row = find_setting(section, key.str());
  const std::string where = place(file, key.source());
  if (row == nullptr) {
    fail<ConfigError>("config.unknown-key",
                      "{}  [{}] {}\n  no such setting{}  (all: motley config keys)", where, section,
                      key.str(), suggestion(key.str(), setting_keys(section)));
  }
  SettingValue value = parse_setting(*row, scalar_text(node, *row, where), where);
  return {row, std::move(value), fmt::format("{}:{}", file.string(), key.source().begin.line)};
}

toml::table parse(const io::Path& file) {
  const std::string text = io::read_text(file, max_file_bytes);
  try {
    return toml::parse(text, file.string());
  } catch (const toml::parse_error& e) {
    fail<ConfigError>("config.syntax", "{}  this is not TOML\n  {}", place(file, e.source()),
                      e.description());
  }
}

std::string section_text(std::string_view section, std::string_view lines) {
  return lines.empty() ? "" : fmt::format("[{}]\n{}\n", section, lines);
}

}  // namespace

std::vector<Assignment> read_toml(const io::Path& file) {
  const toml::table document = parse(file);
  const std::vector<std::string> sections = setting_sections();
  std::vector<Assignment> assignments;
  for (const auto& [name, node] : document) {
    const std::string where = place(file, name.source());
    const bool known = std::find(sections.begin(), sections.end(), name.str()) != sections.end();
    require<ConfigError>(known, "config.unknown-section",
                         "{}  '{}'\n  no such section{}; the sections are {}", where, name.str(),
                         suggestion(name.str(), sections), fmt::join(sections, ", "));
    require<ConfigError>(node.is_table(), "config.type", "{}  '{}' is a section: write [{}]", where,
                         name.str(), name.str());
    for (const auto& [key, value] : *node.as_table()) {
      assignments.push_back(read_entry(file, name.str(), key, value));
    }
  }
  return assignments;
}

std::string to_toml(const Settings& settings) {
  std::string out;
  for (const std::string& section : setting_sections()) {
    std::string lines;
    for (const Setting& row : settings_table()) {
      if (row.section != section || row.on_resume == OnResume::one_call) continue;
      lines += fmt::format("{} = {}\n", row.key, format_setting(row.get(settings, row)));
    }
    out += section_text(section, lines);
  }
  return out;
}

std::string to_toml_with_origins(const ResolvedSettings& resolved) {
  std::string out;
  for (const std::string& section : setting_sections()) {
    std::string lines;
    for (const Setting& row : settings_table()) {
      if (row.section != section) continue;
      const auto origin = resolved.origins.find(row.full_name());
      const std::string from = origin == resolved.origins.end() ? "default" : origin->second;
      const std::string entry =
          fmt::format("{} = {}", row.key, format_setting(row.get(resolved.values, row)));
      lines += fmt::format("{:<32}  # {}\n", entry, from);
    }
    out += section_text(section, lines);
  }
  return out;
}

}  // namespace motley
