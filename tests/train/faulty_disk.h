// A disk that fails at a chosen operation: what the C library's functions that change files do in
// the program that faulty_disk.cpp is linked into, std::filesystem's calls of them among these.
#pragma once

#include <cstddef>

namespace motley::test {

enum class DiskFault {
  killed,       // the process ends; of a write, half is done
  power_lost,   // and what was not forced to disk is gone: data and names
  data_lost,    // data alone, as where a file system keeps names first
  names_lost,   // names alone
  full,         // this and all later operations that take space are refused with ENOSPC
  unreachable,  // this and all later operations are refused with EIO
  hiccup,       // this one is refused with EIO
};

/// How a process ends that a fault ends.
constexpr int exit_of_killed = 42;
/// The same after promise().
constexpr int exit_of_killed_later = 43;

/// From now on operations are counted, and from the `at`-th, counted from 1, the disk has the
/// fault. A name is forced to disk by fsync of its directory, data by fsync of their file. What was
/// removed stays removed, and a file that is replaced by another of its name is not kept.
void break_disk(DiskFault fault, std::size_t at);
/// What was to be done is done: what is on the disk must stay from now on.
void promise();
/// From now on RENAME_EXCHANGE is refused, as by NFS.
void refuse_exchange();
/// Ends the fault and the counting. Returns how many operations there were.
std::size_t mend_disk();

}  // namespace motley::test
