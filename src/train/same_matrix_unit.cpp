#include "train/same_matrix_unit.h"

#include <fmt/format.h>

#include <algorithm>

#include "dist/agree.h"
#include "kernels/matrix_unit.h"
#include "tensor/log.h"

namespace motley {

void use_same_matrix_unit(Communicator& comm, Device& device) {
  const MatrixUnit found = agree(comm, "looking for matrix units",
                                 [&] { return op::find_matrix_unit(device.stream()); });
  const std::string prefix = device.info().name + '\n';
  const std::string mine = prefix + fmt::to_string(static_cast<int>(found));
  const std::vector<std::string> all = comm.all_gather_text(mine);
  const auto other = std::find_if(all.begin(), all.end(), [&](const std::string& text) {
    return text.starts_with(prefix) && text != mine;
  });
  if (other == all.end() || found == MatrixUnit::none) return;
  log::warn("{} does without its matrix unit, because the one of rank {} does", device.info().name,
            other - all.begin());
  device.set_matrix_unit(MatrixUnit::none);
}

}  // namespace motley
