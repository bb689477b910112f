#include "launch/slow_notice.h"

#include <chrono>

#include "tensor/log.h"

namespace motley::launch {
namespace {

constexpr std::chrono::seconds first_notice(3);

}  // namespace

SlowNotice::SlowNotice() : thread_([this] { run(); }) {}

SlowNotice::~SlowNotice() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void SlowNotice::begin(const std::string& name) {
  {
    const std::lock_guard lock(mutex_);
    name_ = name;
    began_ = Clock::now();
    ++number_;
  }
  changed_.notify_all();
}

void SlowNotice::run() {
  std::unique_lock lock(mutex_);
  while (!stops_) {
    const std::uint64_t number = number_;
    const auto is_over = [&] { return stops_ || number_ != number; };
    if (name_.empty()) {
      changed_.wait(lock, is_over);
      continue;
    }
    for (auto notice = first_notice; !changed_.wait_until(lock, began_ + notice, is_over);
         notice *= 2)
      log::warn("checking '{}' has taken {} s so far", name_, notice.count());
  }
}

}  // namespace motley::launch
