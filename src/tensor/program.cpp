#include "tensor/program.h"

#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <cstdlib>
#include <cstring>
#include <span>

#include "tensor/error.h"
#include "tensor/io.h"
#include "tensor/log.h"

namespace motley {
namespace {

// Denormals cost a CPU a hundred-fold and no model needs them. No relaxed maths: it changes
// results.
constexpr const char* base_options = "-cl-std=CL1.2 -cl-kernel-arg-info -cl-denorms-are-zero";

std::uint64_t hash_of(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string build_log(const cl::Program& program, const cl::Device& device) {
  std::string text;
  if (program.getBuildInfo(device, CL_PROGRAM_BUILD_LOG, &text) != CL_SUCCESS) text.clear();
  while (!text.empty() && (text.back() == '\0' || text.back() == '\n')) text.pop_back();
  return text.empty() ? "(the driver gave no build log)" : text;
}

std::string text_info(const cl::Device& device, cl_device_info what) {
  std::string text;
  check_cl(device.getInfo(what, &text), "clGetDeviceInfo");
  return text;
}

}  // namespace

std::string Defines::options() const {
  std::string text;
  for (const auto& [name, value] : entries_) text += fmt::format(" -D{}={}", name, value);
  return text;
}

bool Defines::operator<(const Defines& other) const {
  if (entries_.size() != other.entries_.size()) return entries_.size() < other.entries_.size();
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const int order = std::strcmp(entries_[i].first, other.entries_[i].first);
    if (order != 0) return order < 0;
    if (entries_[i].second != other.entries_[i].second) {
      return entries_[i].second < other.entries_[i].second;
    }
  }
  return false;
}

ProgramCache::ProgramCache(cl::Context context, cl::Device device, std::filesystem::path directory)
    : context_(std::move(context)), device_(std::move(device)), directory_(std::move(directory)) {
  cl_platform_id platform = nullptr;
  check_cl(device_.getInfo(CL_DEVICE_PLATFORM, &platform), "clGetDeviceInfo");
  std::string platform_version;
  check_cl(cl::Platform(platform).getInfo(CL_PLATFORM_VERSION, &platform_version),
           "clGetPlatformInfo");
  for (const int what : {CL_DEVICE_NAME, CL_DEVICE_VERSION, CL_DRIVER_VERSION}) {
    device_key_ += text_info(device_, static_cast<cl_device_info>(what)) + '\n';
  }
  device_key_ += platform_version;
  if (directory_.empty()) return;
  try {
    // What is loaded from here runs: nobody else may write to it.
    io::create_directories(directory_.parent_path());
    io::create_private_directory(directory_);
  } catch (const IoError& e) {
    log::warn("kernels are not cached on disk: {}", e.what());
    directory_.clear();
  }
}

cl::Program ProgramCache::get(const KernelInfo& info, const Defines& defines) {
  std::string options = base_options + defines.options();
  const std::lock_guard lock(mutex_);
  const auto [slot, fresh] = programs_.try_emplace({info.source, options});
  if (!fresh && slot->second() != nullptr) return slot->second;
  slot->second = build(info, options);
  return slot->second;
}

cl::Program ProgramCache::build(const KernelInfo& info, const std::string& options) {
  if (directory_.empty()) return compile(info, options);
  const std::filesystem::path path = file_for(info, options);
  if (io::exists(path)) {
    try {
      return load_binary(path, options);
    } catch (const Error& e) {
      log::debug("the cached kernel {} is not usable and is built anew: {}", path.string(),
                 e.what());
    }
  }
  cl::Program program = compile(info, options);
  try {
    store_binary(path, program);
  } catch (const Error& e) {
    log::warn("kernels are not cached on disk: {}", e.what());
    directory_.clear();
  }
  return program;
}

cl::Program ProgramCache::compile(const KernelInfo& info, const std::string& options) {
  cl_int code = CL_SUCCESS;
  cl::Program program(context_, std::string(info.source), false, &code);
  check_cl(code, "clCreateProgramWithSource");
  code = program.build(device_, options.c_str());
  require<DeviceError>(code == CL_SUCCESS, "device.build", "{} does not build with '{}': {}\n{}",
                       info.file, options, cl_error_name(code), build_log(program, device_));
  return program;
}

std::filesystem::path ProgramCache::file_for(const KernelInfo& info,
                                             const std::string& options) const {
  const std::string key = device_key_ + '\n' + options + '\n' + info.source;
  const XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
  return directory_ / fmt::format("{}-{:016x}{:016x}.bin", info.file, hash.high64, hash.low64);
}

// A file is the hash of the binary, 8 bytes, and the binary.
cl::Program ProgramCache::load_binary(const std::filesystem::path& path,
                                      const std::string& options) {
  const std::string text = io::read_text(path);
  std::uint64_t hash = 0;
  require<IoError>(text.size() > sizeof hash, "cache.truncated", "{} is too short", path.string());
  std::memcpy(&hash, text.data(), sizeof hash);
  const std::vector<unsigned char> binary(text.begin() + sizeof hash, text.end());
  require<IoError>(hash == hash_of(std::as_bytes(std::span(binary))), "cache.corrupt",
                   "{} is damaged", path.string());
  cl_int code = CL_SUCCESS;
  std::vector<cl_int> status;
  cl::Program program(context_, {device_}, {binary}, &status, &code);
  check_cl(code, "clCreateProgramWithBinary");
  check_cl(program.build(device_, options.c_str()), "clBuildProgram");
  return program;
}

void ProgramCache::store_binary(const std::filesystem::path& path, const cl::Program& program) {
  std::vector<std::vector<unsigned char>> binaries;
  check_cl(program.getInfo(CL_PROGRAM_BINARIES, &binaries), "clGetProgramInfo");
  if (binaries.empty() || binaries[0].empty()) return;
  const std::uint64_t hash = hash_of(std::as_bytes(std::span(binaries[0])));
  std::string text(sizeof hash + binaries[0].size(), '\0');
  std::memcpy(text.data(), &hash, sizeof hash);
  std::memcpy(text.data() + sizeof hash, binaries[0].data(), binaries[0].size());
  io::write_text_atomically(path, text);
}

std::filesystem::path default_cache_directory() {
  const char* base = std::getenv("XDG_CACHE_HOME");
  if (base != nullptr && *base != '\0') return std::filesystem::path(base) / "motley";
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home != '\0') return std::filesystem::path(home) / ".cache" / "motley";
  return {};
}

}  // namespace motley
