// Errors as text for people and as exit codes for programs.
#pragma once

#include <exception>

namespace motley::launch {

/// Prints "error[code]  message" to stderr.
void report_error(const std::exception& error);

/// The exit code an error stands for; that of a fault of ours for what is not an Error.
int exit_code_for(const std::exception& error);

}  // namespace motley::launch
