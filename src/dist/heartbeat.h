// Signs of life between rank 0 and the others: once a second each rank tells rank 0 what it is
// doing, and rank 0 answers, so that a rank notices when rank 0 is gone. Messages never block,
// never pile up and need no collective. What follows from them is decided in verdict.h and
// watchdog.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "dist/communicator.h"
#include "dist/flight_recorder.h"

namespace motley {

/// What travels, in both directions; trivially copyable, all ranks run the same build.
struct Heartbeat {
  RankStatus status = {};
  std::uint64_t dump_step = 0;    // from rank 0, with dump_ordered
  std::uint8_t dump_ordered = 0;  // from rank 0: write what you know, the job is given up
  std::uint8_t dumped = 0;        // to rank 0: I have
};

/// The messages of one rank under way; used on the communication thread alone.
class HeartbeatLink {
 public:
  HeartbeatLink() = default;
  HeartbeatLink(const HeartbeatLink&) = delete;
  HeartbeatLink& operator=(const HeartbeatLink&) = delete;
  virtual ~HeartbeatLink() = default;

  /// Starts to send, unless the last message to that rank has not left yet.
  virtual void send(int to, const Heartbeat& beat) = 0;
  /// Takes one message that has arrived from `from`; false when there is none.
  virtual bool receive(int from, Heartbeat& beat) = 0;
};

/// A link over MPI for the ranks of `comm`, on a communicator of its own. Collective. Null where
/// ranks are not processes under MPI.
std::unique_ptr<HeartbeatLink> open_heartbeat_link(Communicator& comm);

/// What was heard of another rank.
struct Heard {
  RankStatus status;
  double age = 0;  // seconds since
  bool dumped = false;
};

/// One rank's side of the exchange. pump() is the communication thread's; all else may be called
/// from any thread.
class Heartbeats {
 public:
  /// `link` null: no messages, and nobody is heard of. `now` gives seconds that never go back. A
  /// rank that has never been heard of counts as heard of when this object was made.
  Heartbeats(const Communicator& comm, const FlightRecorder& recorder,
             std::unique_ptr<HeartbeatLink> link, std::function<double()> now);

  /// Takes what has arrived and sends what is due.
  void pump();
  /// Gives up the messages under way at the next pump().
  void close();

  /// Whether there are messages at all; no longer after one has failed.
  bool has_link() const;
  /// What was heard of rank `rank`: on rank 0 of every other, else of rank 0 alone.
  Heard heard(int rank) const;
  /// Seconds since the last pump(); 0 without a link.
  double link_age() const;
  /// Counts all ranks and the own thread as heard of now: after this process stood still itself.
  void forgive();

  /// Rank 0: asks all ranks to dump, at the next pump().
  void order_dump(std::uint64_t step);
  /// Elsewhere: whether rank 0 has asked, and the step it named.
  bool dump_ordered(std::uint64_t& step) const;
  /// Elsewhere: tells rank 0, at the next pump(), that the dump is written.
  void report_dumped();

 private:
  struct Peer {
    int rank;
    Heartbeat last;
    double heard_at;
  };
  void take_arrived();
  void send_due();

  const FlightRecorder& recorder_;
  std::function<double()> now_;

  mutable std::mutex mutex_;
  bool has_link_;
  std::unique_ptr<HeartbeatLink> link_;  // the communication thread's
  std::vector<Peer> peers_;
  double pumped_at_;
  double sent_at_;
  bool send_now_ = false;
  bool closed_ = false;
  Heartbeat mine_;
};

}  // namespace motley
