// The OpenCL loader and the drivers it is told of.
#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>

#include "dist/doctor.h"
#include "tensor/opencl.h"

namespace motley {
namespace {

constexpr const char* install =
    "apt install pocl-opencl-icd (CPU), intel-opencl-icd, mesa-opencl-icd or the vendor's driver";

Finding check_loader() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(&clGetPlatformIDs), &info) == 0) {
    return {Verdict::warn, "opencl loader", "unknown", "apt install ocl-icd-libopencl1"};
  }
  return {Verdict::ok, "opencl loader", info.dli_fname, ""};
}

/// The library that an ICD file names.
std::string library_of(const io::Path& file) {
  const std::string text = io::read_text(file, 4096);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_first_of(" \t\r\n", first) - first);
}

Finding check_icd(const io::Path& file) {
  const std::string name = "driver " + file.filename().string();
  const std::string library = library_of(file);
  const std::string remedy = fmt::format("install the package of {} again, or remove {}",
                                         library.empty() ? "the driver" : library, file.string());
  if (library.empty()) return {Verdict::fail, name, "the file names no library", remedy};
  // The loader does the same, and says nothing when it fails.
  void* handle = ::dlopen(library.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = ::dlerror();
    return {Verdict::fail, name, reason == nullptr ? library : reason, remedy};
  }
  // It stays loaded: the loader is about to use it, and some drivers do not survive being unloaded.
  return {Verdict::ok, name, library, ""};
}

std::vector<io::Path> icd_files(const io::Path& place) {
  if (!io::is_directory(place)) {
    return io::exists(place) ? std::vector{place} : std::vector<io::Path>{};
  }
  std::vector<io::Path> files;
  for (const std::string& name : io::list(place)) {
    if (name.ends_with(".icd")) files.push_back(place / name);
  }
  return files;
}

}  // namespace

Findings check_opencl_drivers(const Announce& announce) {
  Findings findings{check_loader()};
  const char* vendors = std::getenv("OCL_ICD_VENDORS");
  const io::Path place = vendors != nullptr ? vendors : "/etc/OpenCL/vendors";
  const std::vector<io::Path> files = icd_files(place);
  if (files.empty()) {
    const std::string remedy = vendors != nullptr ? "set OCL_ICD_VENDORS to a directory of .icd "
                                                    "files, or unset it"
                                                  : install;
    findings.push_back({Verdict::fail, "drivers",
                        fmt::format("there is no ICD file in {}", place.string()), remedy});
  }
  for (const io::Path& file : files) {
    const std::string name = "driver " + file.filename().string();
    announce(name);
    for (Finding& finding : run_check(name, [&] { return Findings{check_icd(file)}; }))
      findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace motley
