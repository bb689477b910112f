#include "train/stop.h"

#include <array>
#include <csignal>

namespace motley {
namespace {

constexpr std::array<int, 4> watched{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

// A handler can reach nothing but static data.
volatile std::sig_atomic_t received = 0;

extern "C" void remember_signal(int number) {
  if (received == 0) {
    received = number;
  } else if (number == SIGINT || number == SIGTERM) {
    std::signal(number, SIG_DFL);
    std::raise(number);
  }
}

}  // namespace

StopRequests::StopRequests() {
  received = 0;
  for (const int number : watched) std::signal(number, remember_signal);
}

StopRequests::~StopRequests() {
  for (const int number : watched) std::signal(number, SIG_DFL);
}

int StopRequests::signal() const {
  return received;
}

}  // namespace motley
