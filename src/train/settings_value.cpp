// Settings' values as text: reading them with their units, writing them as TOML, and help.
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "tensor/error.h"
#include "train/settings_table.h"
#include "train/suggest.h"

namespace motley {
namespace {

// TOML's integers have 63 bits.
constexpr double max_exact_count = 9.2e18;

struct Suffix {
  std::string_view text;
  double factor;
};

std::vector<Suffix> suffixes_of(SettingUnit unit) {
  switch (unit) {
    case SettingUnit::minutes:
      return {{"s", 1.0 / 60}, {"m", 1}, {"h", 60}, {"d", 24 * 60}};
    case SettingUnit::seconds:
      return {{"s", 1}, {"m", 60}, {"h", 3600}};
    case SettingUnit::fraction:
      return {{"%", 0.01}};
    case SettingUnit::none:
    case SettingUnit::tokens:
    case SettingUnit::steps:
      return {{"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"B", 1e9}, {"T", 1e12}};
  }
  return {};
}

/// A finite number with one of the unit's suffixes; a divided factor keeps "10%" at exactly 0.1.
std::optional<double> parse_number(std::string_view text, SettingUnit unit) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || !std::isfinite(number)) return std::nullopt;
  const std::string_view rest = text.substr(static_cast<std::size_t>(end - text.data()));
  if (rest.empty()) return number;
  for (const Suffix& suffix : suffixes_of(unit)) {
    if (rest != suffix.text) continue;
    return suffix.factor < 1 ? number / std::round(1 / suffix.factor) : number * suffix.factor;
  }
  return std::nullopt;
}

/// A whole number; digits alone are read exactly.
std::optional<std::uint64_t> parse_count(std::string_view text, SettingUnit unit) {
  std::uint64_t count = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, count);
  if (error == std::errc{} && end == last) return count;
  const std::optional<double> number = parse_number(text, unit);
  if (!number || *number < 0 || *number > max_exact_count) return std::nullopt;
  const double whole = std::nearbyint(*number);
  if (std::abs(*number - whole) > 1e-9 * whole) return std::nullopt;
  return static_cast<std::uint64_t>(whole);
}

bool is_utf8(const std::string& text) {
  try {
    (void)nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

[[noreturn]] void refuse(const Setting& row, std::string_view text, std::string_view where,
                         std::string_view hint = "") {
  fail<ConfigError>("config.value", "{}  [{}] {} = {}\n  must be {}{}", where, row.section, row.key,
                    text, describe_range(row), hint);
}

/// "0.1", "1e-08", "1000000000": TOML tells a float from an integer by its point or exponent.
std::string format_real(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string suffix_help(SettingUnit unit) {
  switch (unit) {
    case SettingUnit::tokens:
      return " (k, M, G may follow)";
    case SettingUnit::minutes:
      return " minutes (s, m, h, d may follow)";
    case SettingUnit::seconds:
      return " seconds (s, m, h may follow)";
    case SettingUnit::fraction:
      return " (or a percentage)";
    case SettingUnit::none:
    case SettingUnit::steps:
      return "";
  }
  return "";
}

}  // namespace

SettingValue parse_setting(const Setting& row, std::string_view text, std::string_view where) {
  switch (row.kind) {
    case SettingKind::boolean:
      if (text == "true" || text == "on") return true;
      if (text != "false" && text != "off") refuse(row, text, where);
      return false;
    case SettingKind::count: {
      const auto count = parse_count(text, row.unit);
      const double value = count ? static_cast<double>(*count) : -1;
      if (!count || value < row.low || value > row.high) refuse(row, text, where);
      return *count;
    }
    case SettingKind::real: {
      const auto number = parse_number(text, row.unit);
      if (!number || *number < row.low || *number > row.high) refuse(row, text, where);
      return *number;
    }
    case SettingKind::text:
    case SettingKind::choice:
      break;
  }
  const std::string value(text);
  if (!is_utf8(value)) refuse(row, "(bytes that are not UTF-8)", where);
  if (!row.choices.empty() &&
      std::find(row.choices.begin(), row.choices.end(), value) == row.choices.end()) {
    refuse(row, text, where, suggestion(value, row.choices));
  }
  return value;
}

std::string format_setting(const SettingValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* count = std::get_if<std::uint64_t>(&value)) return fmt::format("{}", *count);
  if (const auto* number = std::get_if<double>(&value)) return format_real(*number);
  return quote(std::get<std::string>(value));
}

std::string describe_range(const Setting& row) {
  if (!row.choices.empty()) return fmt::format("one of {}", fmt::join(row.choices, ", "));
  switch (row.kind) {
    case SettingKind::boolean:
      return "true or false";
    case SettingKind::count:
      return fmt::format("a whole number from {:.15g} to {:.15g}{}", row.low, row.high,
                         suffix_help(row.unit));
    case SettingKind::real:
      return fmt::format("a number from {:g} to {:g}{}", row.low, row.high, suffix_help(row.unit));
    case SettingKind::text:
    case SettingKind::choice:
      break;
  }
  return "text in UTF-8";
}

std::string describe_settings() {
  const Settings defaults;
  std::string out;
  std::string_view section;
  for (const Setting& row : settings_table()) {
    if (row.section != section) out += fmt::format("\n[{}]\n", row.section);
    section = row.section;
    const std::string flag = row.kind == SettingKind::boolean
                                 ? fmt::format("--{}.[no-]{}", row.section, row.key)
                                 : fmt::format("--{}", row.full_name());
    std::string alias(row.alias);
    std::replace(alias.begin(), alias.end(), '_', '-');
    out += fmt::format("  {:<24} {}\n{:27}{}, default {}{}\n", flag, row.help, "",
                       describe_range(row), format_setting(row.get(defaults, row)),
                       alias.empty() ? "" : "; also --" + alias);
  }
  return out;
}

}  // namespace motley
