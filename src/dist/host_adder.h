// Adds gradients of an exchange with the processor.
#pragma once

#include "dist/exchange.h"

namespace motley {

class HostAdder final : public Adder {
 public:
  /// `exchange` must outlive this object.
  explicit HostAdder(const Exchange& exchange) : exchange_(exchange) {}
  void add(const Range& part, Place into, Place from) override;

 private:
  const Exchange& exchange_;
};

}  // namespace motley
