// The host itself: operating system, processor, memory, limits, file systems.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <thread>

#include "dist/doctor.h"
#include "tensor/clock.h"
#include "tensor/error.h"

namespace motley {
namespace {

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
constexpr std::uint64_t gibibyte = std::uint64_t{1} << 30;

std::string gib(std::uint64_t bytes) {
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / static_cast<double>(gibibyte));
}

/// The rest of the first line that begins with `key`, without separators, blanks and quotes.
std::string field_of(const std::string& text, std::string_view key) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    if (!line.starts_with(key)) continue;
    constexpr std::string_view around = " \t:=\"";
    const std::size_t first = line.find_first_not_of(around, key.size());
    if (first == std::string_view::npos) return "";
    return std::string(line.substr(first, line.find_last_not_of(around) - first + 1));
  }
  return "";
}

Finding check_os() {
  std::string name = "an unknown distribution";
  if (io::exists("/etc/os-release"))
    name = field_of(io::read_text("/etc/os-release"), "PRETTY_NAME");
  utsname system{};
  if (::uname(&system) != 0) return {Verdict::ok, "system", name, ""};
  return {Verdict::ok, "system",
          fmt::format("{}, {} {} on {}", name, system.sysname, system.release, system.machine), ""};
}

Finding check_cpu() {
  const std::string info = io::read_system_text("/proc/cpuinfo");
  const std::string flags = " " + field_of(info, "flags") + field_of(info, "Features") + " ";
  std::string found;
  for (const char* flag :
       {"avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve"}) {
    if (flags.find(fmt::format(" {} ", flag)) != std::string::npos)
      found += fmt::format(" {}", flag);
  }
  const std::string model = field_of(info, "model name");
  const std::string value =
      fmt::format("{}, {} processors;{}", model.empty() ? "unknown" : model,
                  std::thread::hardware_concurrency(), found.empty() ? " no vectors known" : found);
  const bool is_x86 = flags.find(" sse2 ") != std::string::npos;
  if (is_x86 && flags.find(" avx2 ") == std::string::npos) {
    return {Verdict::warn, "processor", value,
            "without AVX2 a CPU device is several times slower: use a GPU or another host"};
  }
  return {Verdict::ok, "processor", value, ""};
}

/// A line of /proc/meminfo in bytes.
std::uint64_t memory_field(const std::string& info, std::string_view key) {
  const std::string text = field_of(info, key);
  std::uint64_t kibibytes = 0;
  std::from_chars(text.data(), text.data() + text.size(), kibibytes);
  return kibibytes << 10;
}

Finding check_memory() {
  const std::string info = io::read_system_text("/proc/meminfo");
  const std::uint64_t available = memory_field(info, "MemAvailable");
  const std::string value =
      fmt::format("{} of {} available", gib(available), gib(memory_field(info, "MemTotal")));
  if (available < gibibyte) {
    return {Verdict::warn, "memory", value, "end other programs; a rank needs about 1 GiB"};
  }
  return {Verdict::ok, "memory", value, ""};
}

std::string limit_text(rlim_t limit, std::uint64_t unit, const char* name) {
  return limit == RLIM_INFINITY ? "unlimited" : fmt::format("{}{}", limit / unit, name);
}

Finding check_limits() {
  rlimit locked{};
  rlimit files{};
  rlimit core{};
  ::getrlimit(RLIMIT_MEMLOCK, &locked);
  ::getrlimit(RLIMIT_NOFILE, &files);
  ::getrlimit(RLIMIT_CORE, &core);
  const std::string value =
      fmt::format("locked memory {}, open files {}, core files {}",
                  limit_text(locked.rlim_cur, mebibyte, " MiB"), limit_text(files.rlim_cur, 1, ""),
                  limit_text(core.rlim_cur, mebibyte, " MiB"));
  constexpr rlim_t enough_files = 1024;
  if (files.rlim_cur < enough_files) {
    return {Verdict::warn, "limits", value, "ulimit -n 4096, for many ranks and shards"};
  }
  return {Verdict::ok, "limits", value, ""};
}

Finding check_shared_memory() {
  struct statvfs system {};
  if (::statvfs("/dev/shm", &system) != 0) {
    return {Verdict::warn, "shared memory", "there is no /dev/shm",
            "mount a tmpfs there: Open MPI's messages within a host go through it"};
  }
  const std::uint64_t size = std::uint64_t{system.f_blocks} * system.f_frsize;
  const std::uint64_t left = std::uint64_t{system.f_bavail} * system.f_frsize;
  const std::string value = fmt::format("{} of {} free in /dev/shm", gib(left), gib(size));
  // For Open MPI's messages, 4 MiB a rank. Gradients are shared through anonymous files, which are
  // not in there.
  constexpr std::uint64_t enough = 64 * mebibyte;
  if (left < enough) {
    return {Verdict::warn, "shared memory", value,
            "mount -o remount,size=2G /dev/shm (docker run --shm-size=2g)"};
  }
  return {Verdict::ok, "shared memory", value, ""};
}

/// The name of a file system, of those that training meets.
std::string file_system_name(const io::Path& directory) {
  struct statfs system {};
  if (::statfs(directory.c_str(), &system) != 0) return "unknown";
  struct Known {
    std::uint32_t magic;
    const char* name;
  };
  constexpr std::array<Known, 11> known{{{0xEF53, "ext4"},
                                         {0x58465342, "xfs"},
                                         {0x9123683E, "btrfs"},
                                         {0x01021994, "tmpfs"},
                                         {0x6969, "nfs"},
                                         {0x794C7630, "overlay"},
                                         {0x0BD00BD0, "lustre"},
                                         {0x47504653, "gpfs"},
                                         {0x2FC12FC1, "zfs"},
                                         {0x65735546, "fuse"},
                                         {0x00C36400, "ceph"}}};
  for (const Known& one : known) {
    if (one.magic == static_cast<std::uint32_t>(system.f_type)) return one.name;
  }
  return fmt::format("type {:#x}", static_cast<std::uint32_t>(system.f_type));
}

/// Milliseconds to write 4 KiB, sync, rename and remove, as a checkpoint does.
double time_of_a_safe_write(const io::Path& directory) {
  const io::Path file = directory / fmt::format(".motley-doctor-{}", ::getpid());
  const auto start = Clock::now();
  io::write_text_atomically(file, std::string(4096, 'x'));
  const double milliseconds = seconds_since(start) * 1e3;
  io::remove_all(file);
  return milliseconds;
}

}  // namespace

Findings check_system() {
  return {check_os(), check_cpu(), check_memory(), check_limits(), check_shared_memory()};
}

Findings check_disk(const io::Path& directory) {
  io::Path there =
      directory == "." ? std::filesystem::current_path() : std::filesystem::absolute(directory);
  while (!io::is_directory(there) && there.has_relative_path()) there = there.parent_path();
  const std::string kind = file_system_name(there);
  const std::uint64_t left = io::free_space(there);
  if (!io::is_writable_directory(there)) {
    return {{Verdict::fail, "disk", fmt::format("{} cannot be written", there.string()),
             "run where you may write, or name another directory with --run"}};
  }
  const double spent_ms = time_of_a_safe_write(there);
  const std::string value = fmt::format("{} free in {} ({}), a safe write takes {:.1f} ms",
                                        gib(left), there.string(), kind, spent_ms);
  constexpr double slow_ms = 500;
  if (left < gibibyte) {
    return {{Verdict::warn, "disk", value,
             "a checkpoint needs 12 bytes for each parameter: free some"}};
  }
  if (kind == "tmpfs") {
    return {{Verdict::warn, "disk", value, "this directory is memory and gone after a restart"}};
  }
  if (spent_ms > slow_ms) {
    return {{Verdict::warn, "disk", value, "checkpoints will stall training: use a local disk"}};
  }
  return {{Verdict::ok, "disk", value, ""}};
}

}  // namespace motley
