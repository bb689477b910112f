// The thread that does all of a rank's communication, in the order in which it is asked to. MPI is
// used from this thread alone, so MPI_THREAD_FUNNELED suffices and the main thread can go on
// enqueueing device work while gradients travel.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

#include "tensor/clock.h"

namespace motley {

class CommThread {
 public:
  CommThread();
  CommThread(const CommThread&) = delete;
  CommThread& operator=(const CommThread&) = delete;
  /// Does what is still posted, then ends the thread.
  ~CommThread();

  /// Does `work` after all that was posted before. The future throws what it threw.
  std::future<void> post(std::function<void()> work);
  /// Whether the caller is this thread.
  bool is_current() const { return std::this_thread::get_id() == thread_.get_id(); }

  /// Has `hook` called on this thread every 100 ms or more often, idle or waiting; null: nothing is
  /// called. Returns when no call of the earlier hook is under way. Not to be called from the hook.
  void set_pump(std::function<void()> hook);
  /// For loops that wait on this thread: calls the hook when it is due.
  void pump_if_due();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::packaged_task<void()>> posted_;
  bool ends_ = false;
  std::function<void()> pump_;  // used by the thread itself only
  Clock::time_point pumped_;
  std::thread thread_;  // last: it uses what stands above
};

}  // namespace motley
