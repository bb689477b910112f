#include "dist/same_build.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <vector>

#include "dist/agree.h"
#include "tensor/error.h"
#include "tensor/hash.h"

namespace motley {
namespace {

// One byte a rank can be exchanged whatever the ranks' byte orders are.
void check_byte_order(Communicator& comm) {
  const std::byte mine{std::endian::native == std::endian::little ? std::uint8_t{1}
                                                                  : std::uint8_t{2}};
  std::vector<std::byte> all(static_cast<std::size_t>(comm.size()));
  comm.all_gather(all, std::span(&mine, 1));
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    require<EnvironmentError>(
        all[rank] == all[0], "rank.byte-order",
        "rank {}'s processor has another byte order than rank 0's, so their numbers cannot be "
        "exchanged\n  fix: leave its host out of the job",
        rank);
  }
}

}  // namespace

std::string describe_build(std::string_view version) {
  return fmt::format("version {}\nprogram {}\nbyte order {}\nsizes {} {} {}\n", version,
                     hash_of_file("/proc/self/exe"),
                     std::endian::native == std::endian::little ? "little" : "big", sizeof(long),
                     sizeof(void*), sizeof(long double));
}

void same_build_on_all(Communicator& comm, std::string_view version) {
  if (comm.size() == 1) return;
  check_byte_order(comm);
  const std::string mine =
      agree(comm, "reading the program", [&] { return describe_build(version); });
  same_on_all(comm, "the program", mine);
}

}  // namespace motley
