#include "launch/report.h"

#include <fmt/format.h>

#include <cstdio>
#include <string>

#include "dist/agree.h"
#include "tensor/printable.h"

namespace motley::launch {
void report_error(const std::exception& error) {
  std::fflush(stdout);
  // fputs and not fmt::print, which throws where stderr cannot be written: there is nobody left to
  // tell.
  const Failure failure = failure_of(error);
  const bool is_ours = failure.exit_code == ExitCode::internal;
  const std::string text =
      fmt::format("error[{}]  {}{}", failure.code, failure.message,
                  is_ours ? "\n  this is a fault of motley: please report it" : "");
  std::fputs((printable_message(text) + "\n").c_str(), stderr);
}

int exit_code_for(const std::exception& error) {
  return static_cast<int>(failure_of(error).exit_code);
}

}  // namespace motley::launch
