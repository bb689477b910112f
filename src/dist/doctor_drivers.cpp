// OpenCL drivers that are known for trouble.
#include <algorithm>
#include <array>
#include <cctype>

#include "dist/doctor.h"
#include "tensor/device_info.h"

namespace motley {
namespace {

struct KnownDriver {
  std::string_view platform;  // a part of the platform's name, in lower case
  std::string_view device;    // a part of the device's name; empty: any
  std::string_view trouble;
  std::string_view fix;
};

constexpr std::array<KnownDriver, 5> known_drivers{{
    {"oclgrind", "", "Oclgrind is a simulator, a million times slower than a device",
     "leave it out with --device; it is for finding faults in kernels"},
    {"clover", "", "Mesa's Clover is no longer maintained and lacks much of OpenCL",
     "use rusticl (RUSTICL_ENABLE=radeonsi) or the vendor's driver"},
    {"intel gen ocl driver", "", "Beignet has not been maintained since 2018",
     "apt install intel-opencl-icd"},
    // KataGo's and SETI@home's users: wrong results and crashes, github.com/lightvector/KataGo 199.
    {"amd accelerated parallel processing", "gfx1010",
     "AMD's drivers for the RX 5600 and 5700 have computed wrongly in other programs",
     "try rusticl, and compare the first losses with another device's"},
    {"amd accelerated parallel processing", "rx 57",
     "AMD's drivers for the RX 5600 and 5700 have computed wrongly in other programs",
     "try rusticl, and compare the first losses with another device's"},
}};

bool contains(std::string text, std::string_view part) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text.find(part) != std::string::npos;
}

}  // namespace

std::optional<DriverTrouble> known_trouble(const DeviceInfo& info) {
  for (const KnownDriver& known : known_drivers) {
    if (contains(info.platform, known.platform) && contains(info.name, known.device))
      return DriverTrouble{std::string(known.trouble), std::string(known.fix)};
  }
  return std::nullopt;
}

}  // namespace motley
