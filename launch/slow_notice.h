// Says on standard error what a program is doing when that takes longer than a few seconds.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "tensor/clock.h"

namespace motley::launch {

/// Has a thread of its own, so that it also speaks of a call into a driver that does not return.
class SlowNotice {
 public:
  SlowNotice();
  SlowNotice(const SlowNotice&) = delete;
  SlowNotice& operator=(const SlowNotice&) = delete;
  ~SlowNotice();

  /// Ends what was under way and begins `name`; empty: nothing to speak of.
  void begin(const std::string& name);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string name_;
  Clock::time_point began_;
  std::uint64_t number_ = 0;  // of what is under way, as a name may come twice
  bool stops_ = false;
  std::thread thread_;  // last: it uses what stands above
};

}  // namespace motley::launch
