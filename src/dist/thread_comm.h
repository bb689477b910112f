// Ranks as threads of one process: distributed logic runs in an ordinary test, under a debugger and
// under sanitizers, with as many ranks as one likes; and `motley train --simulate-ranks N`.
#pragma once

#include <functional>

#include "dist/communicator.h"

namespace motley {

/// Runs `body` on num_ranks threads, each with its own communicator, and returns when all have
/// ended. ranks_per_host: that many neighbours believe to be on one host; 0: all. Rethrows what the
/// first rank to fail threw. When a rank throws or returns while others wait for it in a
/// collective, these throw CommError, so nothing waits for ever.
void run_ranks(int num_ranks, const std::function<void(Communicator&)>& body,
               int ranks_per_host = 0);

}  // namespace motley
