// Collectives over more than 2^31 and 2^32 bytes, without that much memory: a communicator that
// writes down its messages, over addresses that nobody reads.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <memory>
#include <vector>

#include "dist/communicator.h"
#include "tensor/error.h"

namespace motley {
namespace {

struct Message {
  bool is_sent;
  const std::byte* at;
  std::size_t size;
  int peer;
  bool operator==(const Message&) const = default;
};

/// One of `size` ranks, alone: its messages come to an end at once and move nothing.
class RecordingComm final : public Communicator {
 public:
  RecordingComm(int rank, int size)
      : Communicator({.rank = rank, .size = size, .host = "here"}, nullptr) {}
  std::unique_ptr<Transfers> transfers() override {
    return std::make_unique<RecordingTransfers>(messages);
  }

  std::vector<Message> messages;

 private:
  class RecordingTransfers final : public Transfers {
   public:
    explicit RecordingTransfers(std::vector<Message>& messages) : messages_(messages) {}
    void send(std::span<const std::byte> bytes, int to) override {
      messages_.push_back({true, bytes.data(), bytes.size(), to});
    }
    void receive(std::span<std::byte> bytes, int from) override {
      messages_.push_back({false, bytes.data(), bytes.size(), from});
    }
    bool test() override { return true; }

   private:
    std::vector<Message>& messages_;
  };
};

/// Addresses without memory.
class Addresses {
 public:
  explicit Addresses(std::size_t size) : size_(size) {
    at_ = ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at_ == MAP_FAILED) throw IoError("io.failed", "no addresses");
  }
  Addresses(const Addresses&) = delete;
  Addresses& operator=(const Addresses&) = delete;
  ~Addresses() { ::munmap(at_, size_); }
  std::span<std::byte> bytes() const { return {static_cast<std::byte*>(at_), size_}; }

 private:
  void* at_;
  std::size_t size_;
};

constexpr std::size_t gibibyte = std::size_t{1} << 30;

TEST(LargeMessages, ShardsOfFloatsBeyond32Bits) {
  const Addresses memory(9 * gibibyte + 8);
  const std::span<std::byte> bytes = memory.bytes();
  const std::span<float> values(reinterpret_cast<float*>(bytes.data()), bytes.size() / 4);
  // 1 GiB and one float; then more than 2^31 bytes; then more than 2^32, which end beyond 2^33.
  constexpr std::size_t first = gibibyte / 4 + 1;
  constexpr std::size_t second = first + 5 * gibibyte / 8 + 1;
  const std::vector<Range> shards = {{0, first}, {first, second}, {second, values.size()}};
  RecordingComm comm(1, 3);
  comm.all_gather_shards(values, shards);
  const std::byte* at = bytes.data();
  const std::vector<Message> expected = {{false, at, 4 * first, 0},
                                         {false, at + 4 * second, bytes.size() - 4 * second, 2},
                                         {true, at + 4 * first, 4 * (second - first), 2},
                                         {true, at + 4 * first, 4 * (second - first), 0}};
  EXPECT_EQ(comm.messages, expected);
  EXPECT_GT(expected[2].size, std::size_t{1} << 31);
  EXPECT_GT(expected[1].size, std::size_t{1} << 32);
}

TEST(LargeMessages, BroadcastBeyond32Bits) {
  const Addresses memory(4 * gibibyte + 3);
  RecordingComm comm(2, 4);
  comm.broadcast(memory.bytes(), 0);
  const std::vector<Message> expected = {{false, memory.bytes().data(), 4 * gibibyte + 3, 0},
                                         {true, memory.bytes().data(), 4 * gibibyte + 3, 3}};
  EXPECT_EQ(comm.messages, expected);
}

}  // namespace
}  // namespace motley
