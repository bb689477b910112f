#include "dist/comm_thread.h"

#include <utility>

namespace motley {
namespace {

constexpr std::chrono::milliseconds pump_interval(50);

}  // namespace

CommThread::CommThread() : thread_([this] { run(); }) {}

CommThread::~CommThread() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::future<void> CommThread::post(std::function<void()> work) {
  std::packaged_task<void()> task(std::move(work));
  std::future<void> done = task.get_future();
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
  }
  changed_.notify_all();
  return done;
}

void CommThread::set_pump(std::function<void()> hook) {
  post([this, hook = std::move(hook)]() mutable { pump_ = std::move(hook); }).get();
}

void CommThread::pump_if_due() {
  if (!pump_) return;
  const auto now = Clock::now();
  if (now - pumped_ < pump_interval) return;
  pumped_ = now;
  pump_();
}

void CommThread::run() {
  for (;;) {
    std::packaged_task<void()> task;
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, pump_interval, [this] { return !posted_.empty() || ends_; });
      if (posted_.empty() && ends_) return;
      if (!posted_.empty()) {
        task = std::move(posted_.front());
        posted_.pop_front();
      }
    }
    if (task.valid()) task();
    pump_if_due();
  }
}

}  // namespace motley
