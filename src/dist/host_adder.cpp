#include "dist/host_adder.h"

namespace motley {

void HostAdder::add(const Range& part, Place into, Place from) {
  add_to(exchange_.gradients(into).subspan(part.begin, part.size()),
         exchange_.gradients(from).subspan(part.begin, part.size()));
}

}  // namespace motley
