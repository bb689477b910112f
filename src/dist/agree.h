// How a failure on one rank becomes the same failure on all: no rank goes on alone, none waits for
// ever.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "dist/communicator.h"
#include "tensor/error.h"

namespace motley {

/// Marks an error that every rank has thrown at the same point: one rank may report it for all, and
/// the job can end in order. An error without this mark is one rank's own; the job must be aborted.
class AgreedMark {
 public:
  virtual ~AgreedMark() = default;
};

bool is_agreed(const std::exception& error);

/// What a phase came to on this rank: nothing, or the error that ended it.
struct Failure {
  ExitCode exit_code = ExitCode::internal;
  std::string code;
  std::string message;
};

/// What an error comes to: an Error is itself; memory that the host did not give is "memory.host",
/// a refusal of the system "io.failed", anything else a fault of ours, "internal".
Failure failure_of(const std::exception& error);

/// The failure of the exception being handled. Call from a catch block.
Failure current_failure();

/// Throws the error that this failure stands for, marked as known to all ranks.
[[noreturn]] void throw_agreed(const Failure& failure);

/// Collective. Returns when no rank has failed; otherwise throws on every rank the error of the
/// lowest failing rank: same type (by exit code), code and text, the text after "rank 1 on node2,
/// <phase>: ".
void agree_on(Communicator& comm, std::string_view phase, const std::optional<Failure>& failure);

/// Runs fn() and returns what it returns, on every rank or on none: when fn throws on any rank, all
/// ranks throw that error as agree_on says. fn must not call collectives, for the others would wait
/// in them. A group of one rank lets the original exception pass unchanged.
template <class F>
auto agree(Communicator& comm, std::string_view phase, F&& fn) -> std::invoke_result_t<F> {
  using Result = std::invoke_result_t<F>;
  if (comm.size() == 1) return std::forward<F>(fn)();
  std::optional<Failure> failure;
  if constexpr (std::is_void_v<Result>) {
    try {
      std::forward<F>(fn)();
    } catch (const std::exception&) {
      failure = current_failure();
    }
    agree_on(comm, phase, failure);
  } else {
    std::optional<Result> result;
    try {
      result.emplace(std::forward<F>(fn)());
    } catch (const std::exception&) {
      failure = current_failure();
    }
    agree_on(comm, phase, failure);
    return std::move(*result);
  }
}

/// Runs fn(), which on every rank does the same with the same values: what it throws counts as
/// agreed although nothing is exchanged.
template <class F>
void on_all(F&& fn) {
  std::optional<Failure> failure;
  try {
    std::forward<F>(fn)();
  } catch (const std::exception&) {
    failure = current_failure();
  }
  if (failure) throw_agreed(*failure);
}

/// Collective. Throws EnvironmentError on every rank unless all ranks pass the same text. The
/// message says what differs, names the lowest rank that differs from rank 0, and shows the first
/// line that differs. `what` is such as "the settings" or "the data set's manifest".
void same_on_all(Communicator& comm, std::string_view what, std::string_view text);

}  // namespace motley
