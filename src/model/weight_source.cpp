#include "model/weight_source.h"

#include <vector>

namespace motley {

void load_weights(Stream& s, ParamStore& params, const WeightSource& source) {
  for (const Param& param : params.params()) {
    std::vector<float> values(param.spec.shape.size());
    source.read(param.spec, values);
    Tensor target = param.value;
    s.write<float>(target, values);
  }
}

}  // namespace motley
