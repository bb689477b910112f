#include "train/settings_flags.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "tensor/error.h"
#include "train/suggest.h"

namespace motley {
namespace {

/// A flag without its dashes and value: section and key with underscores, and whether it said
/// "no-".
struct FlagName {
  std::string section;  // empty: not given
  std::string key;
  bool negated = false;
};

/// Every flag a user could have meant, for suggestions: with and without the section.
std::vector<std::string> all_flags() {
  std::vector<std::string> names;
  for (const Setting& row : settings_table()) {
    names.emplace_back(row.key);
    names.push_back(row.full_name());
    if (!row.alias.empty()) names.emplace_back(row.alias);
  }
  return names;
}

FlagName split_flag(std::string_view text) {
  FlagName name;
  if (const std::size_t dot = text.find('.'); dot != std::string_view::npos) {
    name.section = text.substr(0, dot);
    text.remove_prefix(dot + 1);
  }
  name.negated = text.starts_with("no-");
  if (name.negated) text.remove_prefix(3);
  name.key = text;
  std::replace(name.key.begin(), name.key.end(), '-', '_');
  return name;
}

/// The one row that a flag means; nullptr when there is none or the key stands in several sections.
const Setting* find_flag(const FlagName& name) {
  if (!name.section.empty()) return find_setting(name.section, name.key);
  const Setting* found = nullptr;
  for (const Setting& row : settings_table()) {
    if (!row.alias.empty() && row.alias == name.key) return &row;
    if (row.key != name.key) continue;
    if (found != nullptr) return nullptr;
    found = &row;
  }
  return found;
}

const Setting& require_flag(const FlagName& name, std::string_view flag) {
  const Setting* row = find_flag(name);
  if (row == nullptr || (name.negated && row->kind != SettingKind::boolean)) {
    const std::string wanted = (name.section.empty() ? "" : name.section + ".") + name.key;
    std::string hint = suggestion(wanted, all_flags());
    if (row != nullptr) hint = fmt::format("; '{}' is not a switch", row->full_name());
    fail<ConfigError>("config.unknown-flag", "--{}\n  no such setting{}  (all: motley config keys)",
                      flag, hint);
  }
  return *row;
}

/// A flag as it stands on the command line: `origin` is "--optim.lr".
struct Flag {
  FlagName name;
  const Setting& row;
  std::string origin;
};

/// The value of a flag without "=", moving `i` over the arguments it uses up.
std::string following_value(const Flag& flag, std::span<const std::string> arguments,
                            std::size_t& i) {
  const bool has_next = i + 1 < arguments.size();
  if (flag.row.kind == SettingKind::boolean) {
    if (flag.name.negated) return "false";
    constexpr std::array<std::string_view, 4> values{"true", "false", "on", "off"};
    const bool spelled_out =
        has_next && std::find(values.begin(), values.end(), arguments[i + 1]) != values.end();
    return spelled_out ? arguments[++i] : "true";
  }
  require<ConfigError>(has_next && !arguments[i + 1].starts_with("--"), "config.missing-value",
                       "{} needs a value\n  write {} VALUE, or {}=VALUE for one that starts with "
                       "dashes; it must be {}",
                       flag.origin, flag.origin, flag.origin, describe_range(flag.row));
  return arguments[++i];
}

Assignment read_flag(std::span<const std::string> arguments, std::size_t& i) {
  const std::string_view text = std::string_view(arguments[i]).substr(2);
  const std::size_t equals = text.find('=');
  const std::string_view spelled = text.substr(0, equals);
  const FlagName name = split_flag(spelled);
  const Flag flag{name, require_flag(name, spelled), "--" + std::string(spelled)};
  std::string value;
  if (equals == std::string_view::npos) {
    value = following_value(flag, arguments, i);
  } else {
    require<ConfigError>(!name.negated, "config.value", "{} takes no value\n  write {}",
                         flag.origin, flag.origin);
    value = text.substr(equals + 1);
  }
  return {&flag.row, parse_setting(flag.row, value, flag.origin), flag.origin};
}

}  // namespace

CommandLine read_command_line(std::span<const std::string> arguments) {
  CommandLine line;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument.starts_with("--") && argument.size() > 2) {
      line.flags.push_back(read_flag(arguments, i));
      continue;
    }
    require<ConfigError>(!argument.starts_with("-") && !argument.empty(), "config.argument",
                         "'{}' is neither a flag nor a file\n  settings are given as "
                         "--section.key value",
                         argument);
    require<ConfigError>(!line.file, "config.argument",
                         "'{}' is a second file\n  settings come from one TOML file and from flags",
                         argument);
    line.file = argument;
  }
  return line;
}

}  // namespace motley
