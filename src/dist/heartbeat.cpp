#include "dist/heartbeat.h"

#include <utility>

#include "tensor/error.h"
#include "tensor/log.h"

namespace motley {
namespace {

constexpr double send_every = 1.0;

}  // namespace

Heartbeats::Heartbeats(const Communicator& comm, const FlightRecorder& recorder,
                       std::unique_ptr<HeartbeatLink> link, std::function<double()> now)
    : recorder_(recorder),
      now_(std::move(now)),
      has_link_(link != nullptr),
      link_(std::move(link)),
      pumped_at_(now_()),
      sent_at_(pumped_at_ - send_every) {
  if (!has_link_) return;
  const int first = comm.rank() == 0 ? 1 : 0;
  const int last = comm.rank() == 0 ? comm.size() - 1 : 0;
  for (int rank = first; rank <= last; ++rank) peers_.push_back({rank, {}, pumped_at_});
}

void Heartbeats::pump() {
  const std::lock_guard lock(mutex_);
  if (link_ == nullptr) return;
  if (closed_) {
    link_.reset();
    return;
  }
  pumped_at_ = now_();
  try {
    take_arrived();
    send_due();
  } catch (const Error& error) {
    // The collectives will meet the same fault and end the job; this thread must live on for them.
    log::warn("heartbeats have ended: {}", error.what());
    link_.reset();
    has_link_ = false;
  }
}

void Heartbeats::take_arrived() {
  for (Peer& peer : peers_) {
    // A rank that stood still may find several.
    while (link_->receive(peer.rank, peer.last)) peer.heard_at = pumped_at_;
  }
}

void Heartbeats::send_due() {
  if (!send_now_ && pumped_at_ - sent_at_ < send_every) return;
  mine_.status = recorder_.status();
  for (const Peer& peer : peers_) link_->send(peer.rank, mine_);
  sent_at_ = pumped_at_;
  send_now_ = false;
}

bool Heartbeats::has_link() const {
  const std::lock_guard lock(mutex_);
  return has_link_;
}

void Heartbeats::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

Heard Heartbeats::heard(int rank) const {
  const std::lock_guard lock(mutex_);
  for (const Peer& peer : peers_) {
    if (peer.rank == rank) return {peer.last.status, now_() - peer.heard_at, peer.last.dumped != 0};
  }
  return {};
}

double Heartbeats::link_age() const {
  const std::lock_guard lock(mutex_);
  return has_link_ ? now_() - pumped_at_ : 0;
}

void Heartbeats::forgive() {
  const std::lock_guard lock(mutex_);
  const double now = now_();
  pumped_at_ = now;
  for (Peer& peer : peers_) peer.heard_at = now;
}

void Heartbeats::order_dump(std::uint64_t step) {
  const std::lock_guard lock(mutex_);
  mine_.dump_ordered = 1;
  mine_.dump_step = step;
  send_now_ = true;
}

bool Heartbeats::dump_ordered(std::uint64_t& step) const {
  const std::lock_guard lock(mutex_);
  for (const Peer& peer : peers_) {
    if (peer.last.dump_ordered == 0) continue;
    step = peer.last.dump_step;
    return true;
  }
  return false;
}

void Heartbeats::report_dumped() {
  const std::lock_guard lock(mutex_);
  mine_.dumped = 1;
  send_now_ = true;
}

}  // namespace motley
