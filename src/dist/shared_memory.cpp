#include "dist/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>
#include <string>
#include <system_error>

#include "tensor/checked.h"

namespace motley {
namespace {

std::string system_message() {
  return std::generic_category().message(errno);
}

/// A file descriptor that closes itself. What it refers to is mapped or not at all used.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

/// Where another process of this host and user finds a segment.
struct Address {
  long process = 0;
  int fd = -1;
  std::uint64_t inode = 0;
  std::size_t bytes = 0;

  std::string to_text() const { return fmt::format("{} {} {} {}", process, fd, inode, bytes); }
  static Address from_text(const std::string& text) {
    Address address;
    std::istringstream(text) >> address.process >> address.fd >> address.inode >> address.bytes;
    return address;
  }
};

/// 0 when there is no such file.
std::uint64_t inode_of(int fd) {
  struct stat status {};
  return fd >= 0 && ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

/// An anonymous file of this size whose blocks are reserved: to run out of memory later would be a
/// SIGBUS in the middle of a step. -1, with errno set, when there is no room.
int make_file(std::size_t bytes) {
  const int fd = ::memfd_create("motley", MFD_CLOEXEC);
  if (fd < 0 || bytes == 0) return fd;
  const int code = ::posix_fallocate(fd, 0, narrow<off_t>(bytes));
  if (code == 0) return fd;
  ::close(fd);
  errno = code;
  return -1;
}

}  // namespace

class SharedMemory::Mapping {
 public:
  Mapping(int fd, std::size_t bytes) : bytes_(bytes) {
    if (bytes > 0) data_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (bytes_ > 0 && is_good()) ::munmap(data_, bytes_);
  }
  bool is_good() const { return data_ != MAP_FAILED; }
  std::span<std::byte> bytes() const { return {static_cast<std::byte*>(data_), bytes_}; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_;
};

SharedMemory::SharedMemory(Communicator& comm, std::size_t bytes, std::span<const int> visible) {
  const Descriptor own(make_file(bytes));
  std::string failure = own.get() < 0 ? "cannot be made: " + system_message() : "";
  const Address mine{::getpid(), own.get(), inode_of(own.get()), bytes};
  const std::vector<std::string> addresses = comm.all_gather_text(mine.to_text());
  for (const int rank : visible) {
    if (!failure.empty()) break;
    const Address address = Address::from_text(addresses[static_cast<std::size_t>(rank)]);
    const std::string path = fmt::format("/proc/{}/fd/{}", address.process, address.fd);
    errno = 0;
    const Descriptor other(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    // In another container the same numbers name another process and file.
    const bool is_it = other.get() >= 0 && inode_of(other.get()) == address.inode;
    if (is_it) mappings_.push_back(std::make_shared<const Mapping>(other.get(), address.bytes));
    if (!is_it || !mappings_.back()->is_good()) {
      failure = fmt::format("cannot be mapped from rank {}: {}", rank,
                            errno != 0 ? system_message() : "it is in another container");
    }
  }
  // Nobody closes its file before all have opened it.
  comm.barrier();
  require<CommError>(failure.empty(), "comm.shared-memory",
                     "{}: {} bytes of memory that the ranks of this host share {}", comm.name(),
                     bytes, failure);
}

std::span<std::byte> SharedMemory::segment(std::size_t i) const {
  return mappings_.at(i)->bytes();
}

}  // namespace motley
