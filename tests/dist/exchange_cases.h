// What the exchange of gradients must do on every communicator.
#pragma once

#include "comm_cases.h"

namespace motley {

const std::vector<CommCase>& exchange_cases();

}  // namespace motley
