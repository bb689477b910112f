// Messages between ranks that are under way: what every collective is made of. An implementation of
// Communicator writes this and nothing else.
#pragma once

#include <cstddef>
#include <span>

namespace motley {

/// A set of messages of one rank. Messages from one rank to another arrive in the order in which
/// they were sent, also across sets, and have no other address: both sides start them in the same
/// order. Used on the communication thread. Destroying a set whose messages are still under way is
/// for the end of a failed job only.
class Transfers {
 public:
  Transfers() = default;
  Transfers(const Transfers&) = delete;
  Transfers& operator=(const Transfers&) = delete;
  virtual ~Transfers() = default;

  /// Starts to send; `bytes` must stay as they are until test() is true. Empty spans send nothing.
  virtual void send(std::span<const std::byte> bytes, int to) = 0;
  /// Starts to receive a message of exactly this size.
  virtual void receive(std::span<std::byte> bytes, int from) = 0;
  /// Whether all that was started has been done; then the set may be used anew. Throws CommError
  /// when a message cannot be exchanged.
  virtual bool test() = 0;
};

}  // namespace motley
