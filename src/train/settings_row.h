// How a row of the settings table is made of a member of Settings. For settings_table.cpp.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "train/settings_table.h"

namespace motley {

/// What a row says besides the member it belongs to. The choices of an enumeration are in its
/// order.
struct Row {
  std::string_view help;
  double low = 0;
  double high = 0;
  SettingUnit unit = SettingUnit::none;
  std::vector<std::string> choices = {};
  OnResume on_resume = OnResume::note;
  std::string_view alias = {};
};

template <auto Section, auto Field>
SettingValue get_member(const Settings& settings, const Setting& row) {
  const auto& member = settings.*Section.*Field;
  if constexpr (std::is_enum_v<std::remove_cvref_t<decltype(member)>>) {
    return row.choices.at(static_cast<std::size_t>(member));
  } else {
    return member;
  }
}

template <auto Section, auto Field>
void set_member(Settings& settings, const Setting& row, const SettingValue& value) {
  auto& member = settings.*Section.*Field;
  using Member = std::remove_cvref_t<decltype(member)>;
  if constexpr (std::is_enum_v<Member>) {
    std::size_t index = 0;
    while (row.choices.at(index) != std::get<std::string>(value)) ++index;
    member = static_cast<Member>(index);
  } else {
    member = std::get<Member>(value);
  }
}

template <class T>
constexpr SettingKind kind_of() {
  if constexpr (std::is_same_v<T, bool>) return SettingKind::boolean;
  if constexpr (std::is_same_v<T, std::uint64_t>) return SettingKind::count;
  if constexpr (std::is_same_v<T, double>) return SettingKind::real;
  if constexpr (std::is_same_v<T, std::string>) return SettingKind::text;
  return SettingKind::choice;
}

template <auto Section, auto Field>
Setting setting(std::string_view section, std::string_view key, Row row) {
  using Member = std::remove_cvref_t<decltype(std::declval<Settings>().*Section.*Field)>;
  return {section,
          key,
          kind_of<Member>(),
          row.help,
          row.unit,
          row.low,
          row.high,
          std::move(row.choices),
          row.on_resume,
          get_member<Section, Field>,
          set_member<Section, Field>,
          row.alias};
}

}  // namespace motley
