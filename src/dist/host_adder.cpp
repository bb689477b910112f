#include "dist/host_adder.h"

namespace motley {

void HostAdder::add(const Range& part, Place into, Place from) {
  add_to(exchange_.gradients(into, part), exchange_.gradients(from, part));
}

}  // namespace motley
