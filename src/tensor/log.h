// The one logger of a process: lines carry the rank; warnings and errors reach the console, every
// line reaches the rank's log file once one is open. log.cpp alone includes spdlog, which is slow
// to compile.
#pragma once

#include <fmt/core.h>

#include <filesystem>
#include <string_view>
#include <utility>

namespace motley::log {

enum class Level { debug, info, warn, error };

/// Sets the prefix of all later lines, "[rank 2/4]". Rank 0, which speaks for the job, has none.
void set_rank(int rank, int num_ranks);
/// Sets the rank of the calling thread alone, where ranks are threads of one process: its lines get
/// the prefix, and those below warn are dropped but on rank 0, for the process has one log.
void set_thread_rank(int rank, int num_ranks);
/// Sends all later lines to `path` as well (appended). Throws IoError when it cannot be opened.
void open_file(const std::filesystem::path& path);
/// Lines below `level` do not reach the console. The default is info on rank 0 and warn elsewhere.
void set_console_level(Level level);
/// Writes a message of one or more lines. Control characters are escaped and lines after the first
/// are indented, so that data can never forge a line.
void write(Level level, std::string_view text);
void flush();

template <class... A>
void debug(fmt::format_string<A...> text, A&&... a) {
  write(Level::debug, fmt::format(text, std::forward<A>(a)...));
}
template <class... A>
void info(fmt::format_string<A...> text, A&&... a) {
  write(Level::info, fmt::format(text, std::forward<A>(a)...));
}
template <class... A>
void warn(fmt::format_string<A...> text, A&&... a) {
  write(Level::warn, fmt::format(text, std::forward<A>(a)...));
}
template <class... A>
void error(fmt::format_string<A...> text, A&&... a) {
  write(Level::error, fmt::format(text, std::forward<A>(a)...));
}

}  // namespace motley::log
