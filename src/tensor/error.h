// Typed errors. Every message says what failed with its values, the rule, and what to do.
// Library code throws these; only main turns one into text and an exit code.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace motley {

/// The program's exit codes, one per kind of failure.
enum class ExitCode : int {
  ok = 0,
  usage = 2,
  environment = 3,
  data = 4,
  checkpoint = 5,
  numeric = 6,
  device = 7,
  peer = 8,
  internal = 70,
  preempted = 75,
};

/// The base of everything this library throws. `code` is a stable name such as "data.magic".
class Error : public std::runtime_error {
 public:
  Error(ExitCode exit_code, std::string_view code, const std::string& message)
      : std::runtime_error(message), exit_code_(exit_code), code_(code) {}
  ExitCode exit_code() const { return exit_code_; }
  const std::string& code() const { return code_; }

 private:
  ExitCode exit_code_;
  std::string code_;
};

/// One subclass per kind of failure, each with its exit code.
template <ExitCode Exit>
class ErrorOf : public Error {
 public:
  ErrorOf(std::string_view code, const std::string& message) : Error(Exit, code, message) {}
};

/// A flag, a setting or a configuration file is wrong.
class ConfigError : public ErrorOf<ExitCode::usage> {
  using ErrorOf::ErrorOf;
};
/// The machine lacks something: a package, a device, a binding.
class EnvironmentError : public ErrorOf<ExitCode::environment> {
  using ErrorOf::ErrorOf;
};
/// The operating system refused a file operation.
class IoError : public ErrorOf<ExitCode::environment> {
  using ErrorOf::ErrorOf;
};
/// A token shard, a tokenizer or a text does not hold what its format promises.
class DataError : public ErrorOf<ExitCode::data> {
  using ErrorOf::ErrorOf;
};
/// A checkpoint or a weights file cannot be used.
class CheckpointError : public ErrorOf<ExitCode::checkpoint> {
  using ErrorOf::ErrorOf;
};
/// A loss or a gradient is not a finite number.
class NumericError : public ErrorOf<ExitCode::numeric> {
  using ErrorOf::ErrorOf;
};
/// OpenCL refused a call, a kernel did not build, or device memory ran out.
class DeviceError : public ErrorOf<ExitCode::device> {
  using ErrorOf::ErrorOf;
};
/// Another rank failed or a message could not be exchanged.
class CommError : public ErrorOf<ExitCode::peer> {
  using ErrorOf::ErrorOf;
};
/// A caller passed tensors that do not fit together.
class ShapeError : public ErrorOf<ExitCode::internal> {
  using ErrorOf::ErrorOf;
};

/// Throws an E with a formatted message.
template <class E, class... A>
[[noreturn]] void fail(std::string_view code, fmt::format_string<A...> text, A&&... a) {
  throw E(code, fmt::format(text, std::forward<A>(a)...));
}

/// Throws an E with a formatted message unless `ok`.
template <class E, class... A>
void require(bool ok, std::string_view code, fmt::format_string<A...> text, A&&... a) {
  if (!ok) throw E(code, fmt::format(text, std::forward<A>(a)...));
}

}  // namespace motley
