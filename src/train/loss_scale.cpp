#include "train/loss_scale.h"

namespace motley {

void LossScale::after_step(bool is_finite) {
  if (!is_finite) {
    scale /= 2;
    good_steps = 0;
    ++skipped;
    return;
  }
  if (++good_steps < growth_interval) return;
  good_steps = 0;
  if (scale < largest) scale *= 2;
}

}  // namespace motley
