// The OpenCL loader and the drivers it is told of.
#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <cstdlib>

#include "dist/doctor.h"
#include "tensor/opencl.h"

namespace motley {
namespace {

constexpr const char* install =
    "apt install pocl-opencl-icd (CPU), intel-opencl-icd, mesa-opencl-icd or the vendor's driver";

/// "ocl-icd 2.3.1, OpenCL 3.0", of the extension cl_loader_info; empty where the loader lacks it.
/// Loads all drivers.
std::string loader_version() {
  using GetInfo =
      cl_int(CL_API_CALL*)(cl_uint name, std::size_t size, void* value, std::size_t* size_needed);
  using GetAddress = void*(CL_API_CALL*)(const char* name);
  // Not called by its name, which the headers of OpenCL 1.2 call deprecated.
  void* const find = ::dlsym(RTLD_DEFAULT, "clGetExtensionFunctionAddress");
  if (find == nullptr) return "";
  void* const found = reinterpret_cast<GetAddress>(find)("clGetICDLoaderInfoOCLICD");
  if (found == nullptr) return "";
  const auto get_info = reinterpret_cast<GetInfo>(found);
  const auto text_of = [&](cl_uint name) {
    std::array<char, 256> text{};
    return get_info(name, text.size() - 1, text.data(), nullptr) == CL_SUCCESS
               ? std::string(text.data())
               : std::string("unknown");
  };
  constexpr cl_uint opencl = 1;
  constexpr cl_uint version = 2;
  constexpr cl_uint name = 3;
  return fmt::format("{} {}, {}", text_of(name), text_of(version), text_of(opencl));
}

Finding check_loader() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(&clGetPlatformIDs), &info) == 0) {
    return {Verdict::warn, "opencl loader", "unknown", "apt install ocl-icd-libopencl1"};
  }
  const std::string version = loader_version();
  return {Verdict::ok, "opencl loader",
          version.empty() ? info.dli_fname : fmt::format("{} ({})", info.dli_fname, version), ""};
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
  Findings findings;
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
  // Last: to ask the loader has it load all drivers, of which one may hang.
  announce("opencl loader");
  findings.insert(findings.begin(), check_loader());
  return findings;
}

}  // namespace motley
