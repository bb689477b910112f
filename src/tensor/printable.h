// Text of foreign origin made fit for a terminal and for logs.
#pragma once

#include <string>
#include <string_view>

namespace motley {

/// `text` with all that a terminal would obey shown instead: control characters (C0 but for newline
/// and tab, DEL, and C1, which some terminals take for escape sequences) become \xNN with a
/// character's code, and so do bytes that are not UTF-8.
std::string printable(std::string_view text);

/// printable(), and every line after the first that is not empty begins with two spaces, so that
/// none of them can pass for a line of its own.
std::string printable_message(std::string_view text);

}  // namespace motley
