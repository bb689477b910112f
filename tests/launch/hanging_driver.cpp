// What stands in for a broken OpenCL driver: a library that does not let the program that loads it
// go on. MOTLEY_TEST_DRIVER=stop stops the whole process instead of the thread.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

namespace {

const bool loaded = [] {
  const char* how = std::getenv("MOTLEY_TEST_DRIVER");
  if (how != nullptr && std::strcmp(how, "stop") == 0) std::raise(SIGSTOP);
  for (;;) ::pause();
  return true;
}();

}  // namespace
