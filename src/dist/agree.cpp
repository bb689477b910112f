#include "dist/agree.h"

#include <algorithm>
#include <exception>
#include <new>
#include <system_error>

namespace motley {
namespace {

/// An E that all ranks throw.
template <class E>
class Agreed final : public E, public AgreedMark {
  using E::E;
};

/// Throws the type that belongs to an exit code, so that all ranks can catch what one rank met.
[[noreturn]] void throw_agreed(ExitCode exit_code, const std::string& code,
                               const std::string& message) {
  switch (exit_code) {
    case ExitCode::usage:
      throw Agreed<ConfigError>(code, message);
    case ExitCode::environment:
      if (code.starts_with("io.")) throw Agreed<IoError>(code, message);
      throw Agreed<EnvironmentError>(code, message);
    case ExitCode::data:
      throw Agreed<DataError>(code, message);
    case ExitCode::checkpoint:
      throw Agreed<CheckpointError>(code, message);
    case ExitCode::numeric:
      throw Agreed<NumericError>(code, message);
    case ExitCode::device:
      throw Agreed<DeviceError>(code, message);
    case ExitCode::peer:
      throw Agreed<CommError>(code, message);
    case ExitCode::ok:
    case ExitCode::internal:
    case ExitCode::preempted:
      break;
  }
  throw Agreed<Error>(exit_code, code, message);
}

/// The first line in which two texts differ, shortened; `line` counts from 1.
struct Difference {
  std::size_t line;
  std::string first;
  std::string second;
};

std::string line_at(std::string_view text, std::size_t begin) {
  constexpr std::size_t longest = 160;
  std::string line(text.substr(begin, text.find('\n', begin) - begin));
  if (line.size() > longest) line = line.substr(0, longest) + "...";
  return line;
}

Difference first_difference(std::string_view a, std::string_view b) {
  const std::size_t common = std::min(a.size(), b.size());
  const auto at = static_cast<std::size_t>(
      std::mismatch(a.begin(), a.begin() + common, b.begin()).first - a.begin());
  const std::string_view before = a.substr(0, at);
  const std::size_t begin = before.find_last_of('\n') + 1;  // npos + 1 is 0: the first line
  const auto line = static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  return {line, line_at(a, begin), line_at(b, begin)};
}

}  // namespace

void throw_agreed(const Failure& failure) {
  throw_agreed(failure.exit_code, failure.code, failure.message);
}

bool is_agreed(const std::exception& error) {
  return dynamic_cast<const AgreedMark*>(&error) != nullptr;
}

Failure failure_of(const std::exception& error) {
  if (const auto* ours = dynamic_cast<const Error*>(&error)) {
    return {ours->exit_code(), ours->code(), ours->what()};
  }
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return {ExitCode::environment, "memory.host",
            "the host is out of memory; free some, or use a smaller model or micro-batch"};
  }
  // Outside tensor/io.h only standard output meets the system: fmt throws this.
  if (dynamic_cast<const std::system_error*>(&error) != nullptr) {
    return {ExitCode::environment, "io.failed", error.what()};
  }
  return {ExitCode::internal, "internal", error.what()};
}

Failure current_failure() {
  try {
    throw;
  } catch (const std::exception& e) {
    return failure_of(e);
  }
}

void agree_on(Communicator& comm, std::string_view phase, const std::optional<Failure>& failure) {
  const int first_failed =
      static_cast<int>(comm.all_reduce_min(failure ? comm.rank() : comm.size()));
  if (first_failed == comm.size()) return;
  const Failure mine = failure.value_or(Failure{});
  const std::int64_t exit_code =
      comm.all_reduce_max(comm.rank() == first_failed ? static_cast<int>(mine.exit_code) : 0);
  const std::string code = comm.broadcast_text(mine.code, first_failed);
  const std::string message = comm.broadcast_text(
      comm.size() == 1 ? mine.message : fmt::format("{}, {}: {}", comm.name(), phase, mine.message),
      first_failed);
  throw_agreed(static_cast<ExitCode>(exit_code), code, message);
}

void same_on_all(Communicator& comm, std::string_view what, std::string_view text) {
  const std::vector<std::string> texts = comm.all_gather_text(text);
  const auto differing =
      std::find_if(texts.begin(), texts.end(), [&](auto& t) { return t != texts[0]; });
  if (differing == texts.end()) return;
  const auto rank = static_cast<int>(differing - texts.begin());
  const std::vector<std::string> names = comm.all_gather_text(comm.name());
  const Difference difference = first_difference(texts[0], *differing);
  throw_agreed(ExitCode::environment, "rank.mismatch",
               fmt::format("{} of {} is not that of {}; it must be the same on all ranks\n"
                           "  line {} of {}: {}\n  line {} of {}: {}\n"
                           "  fix: install the same build and copy the same files to every host",
                           what, names[static_cast<std::size_t>(rank)], names[0], difference.line,
                           names[0], difference.first, difference.line,
                           names[static_cast<std::size_t>(rank)], difference.second));
}

}  // namespace motley
