#include "launch/report.h"

#include <fmt/format.h>

#include <cstdio>
#include <new>
#include <system_error>

#include "tensor/error.h"
#include "tensor/printable.h"

namespace motley::launch {
namespace {

struct Verdict {
  std::string text;
  ExitCode exit_code;
};

Verdict verdict_on(const std::exception& error) {
  if (const auto* ours = dynamic_cast<const Error*>(&error)) {
    return {fmt::format("error[{}]  {}", ours->code(), ours->what()), ours->exit_code()};
  }
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return {"error[memory.host]  the host is out of memory; free some or use a smaller micro-batch",
            ExitCode::environment};
  }
  // Writing to standard output is the one thing outside tensor/io.h that meets the system: fmt
  // throws this.
  if (dynamic_cast<const std::system_error*>(&error) != nullptr) {
    return {fmt::format("error[io.failed]  {}", error.what()), ExitCode::environment};
  }
  return {fmt::format("error[internal]  {}\n  this is a fault of motley: please report it",
                      error.what()),
          ExitCode::internal};
}

}  // namespace

void report_error(const std::exception& error) {
  std::fflush(stdout);
  // fputs and not fmt::print, which throws where stderr cannot be written: there is nobody left to
  // tell.
  std::fputs((printable_message(verdict_on(error).text) + "\n").c_str(), stderr);
}

int exit_code_for(const std::exception& error) {
  return static_cast<int>(verdict_on(error).exit_code);
}

}  // namespace motley::launch
