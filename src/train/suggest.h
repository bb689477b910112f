// "Did you mean ...?": the known name nearest to a mistyped one.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace motley {

/// Edits (insert, delete, replace, swap of neighbours) that turn one name into the other: the
/// optimal string alignment distance.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `name`: few edits away, else sharing a word of four letters or more;
/// the first of equals. Empty when none is similar.
std::string nearest(std::string_view name, std::span<const std::string> candidates);

/// "; did you mean 'micro_batch'?", or nothing when no candidate is similar.
std::string suggestion(std::string_view name, std::span<const std::string> candidates);

}  // namespace motley
