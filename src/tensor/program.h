// Building OpenCL programs from the kernels embedded in the binary, and keeping the built binaries
// on disk. A program is one .cl file under one set of -D definitions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/opencl.h"

namespace motley {

/// One argument as OpenCL sees it.
struct KernelArg {
  const char* name;
  const char* type;  // "float*", "uint"
};

/// What kernelgen wrote about one kernel.
struct KernelInfo {
  const char* name;
  const char* file;
  const char* source;  // of the whole file, includes in place
  const KernelArg* args;
  std::size_t num_args;
};

/// Named integer constants for a build: {{"HEAD_DIM", 64}}. Names must be string literals.
class Defines {
 public:
  using Entry = std::pair<const char*, std::int64_t>;
  Defines() = default;
  Defines(std::initializer_list<Entry> entries) : entries_(entries) {}
  void add(const char* name, std::int64_t value) { entries_.emplace_back(name, value); }
  /// "-DHEAD_DIM=64 ..."
  std::string options() const;
  bool operator<(const Defines& other) const;

 private:
  std::vector<Entry> entries_;
};

/// Where built programs are kept between runs, and which device they are for. Thread-safe.
class ProgramCache {
 public:
  /// An empty `directory` keeps nothing on disk.
  ProgramCache(cl::Context context, cl::Device device, std::filesystem::path directory);

  /// The program of `info`'s file under `defines`, built on first use. Throws DeviceError with the
  /// compiler's log when it does not build.
  cl::Program get(const KernelInfo& info, const Defines& defines);

  /// Device, driver and platform with their versions, a line each: what built programs fit.
  const std::string& device_key() const { return device_key_; }
  /// Empty where nothing is kept on disk.
  const std::filesystem::path& directory() const { return directory_; }

 private:
  cl::Program build(const KernelInfo& info, const std::string& options);
  cl::Program compile(const KernelInfo& info, const std::string& options);
  cl::Program load_binary(const std::filesystem::path& path, const std::string& options);
  void store_binary(const std::filesystem::path& path, const cl::Program& program);
  std::filesystem::path file_for(const KernelInfo& info, const std::string& options) const;

  cl::Context context_;
  cl::Device device_;
  std::filesystem::path directory_;
  std::string device_key_;
  std::mutex mutex_;
  std::map<std::pair<const char*, std::string>, cl::Program> programs_;
};

/// $XDG_CACHE_HOME/motley or ~/.cache/motley; empty when neither can be named.
std::filesystem::path default_cache_directory();

}  // namespace motley
