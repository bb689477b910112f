// The table of settings: one row for everything a user can set. Command line, TOML, help, checks
// and the comparison on resume are all read off it, so a new setting is a member in settings.h and
// a row here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "train/settings.h"

namespace motley {

/// A setting's value; one of several choices is its name.
using SettingValue = std::variant<bool, std::uint64_t, double, std::string>;

enum class SettingKind { boolean, count, real, text, choice };

/// What a number counts, and so which suffixes it may carry: tokens and steps "2.5G", "100k";
/// minutes and seconds "90s", "10m", "2h"; fractions "10%".
enum class SettingUnit { none, tokens, steps, minutes, seconds, fraction };

/// What a resumed run may do with a setting.
enum class OnResume {
  one_call,        // holds for this call only and is not stored
  note,            // may change; a line says so
  changes_result,  // may change if named in train.allow_change
  identical,       // must not change: what is in the checkpoint would not fit
};

struct Setting {
  std::string_view section;
  std::string_view key;
  SettingKind kind;
  std::string_view help;
  SettingUnit unit;
  double low;
  double high;
  std::vector<std::string> choices;  // of a choice, and of a text that has only some values
  OnResume on_resume;
  SettingValue (*get)(const Settings& settings, const Setting& row);
  void (*set)(Settings& settings, const Setting& row, const SettingValue& value);
  std::string_view alias;  // another name of its flag, with underscores; empty for most

  /// "optim.lr"
  std::string full_name() const { return std::string(section) + "." + std::string(key); }
};

/// All rows, section by section, in the order in which they are shown.
std::span<const Setting> settings_table();
/// The row of a section and key; nullptr when there is none.
const Setting* find_setting(std::string_view section, std::string_view key);
/// The sections' names in order.
std::vector<std::string> setting_sections();
/// The keys of a section in order; of all sections when it is empty.
std::vector<std::string> setting_keys(std::string_view section);

/// Reads a value as it stands on a command line. `where` names the place in errors. Throws
/// ConfigError with the range or the choices.
SettingValue parse_setting(const Setting& row, std::string_view text, std::string_view where);
/// A value as TOML.
std::string format_setting(const SettingValue& value);
/// The range or the choices, with the unit, for help and errors.
std::string describe_range(const Setting& row);
/// Every setting with its default, range and help: the text of --help.
std::string describe_settings();

}  // namespace motley
