// Everything known about a model's parameters, and where they and their gradients live on a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "tensor/device.h"
#include "tensor/tensor.h"

namespace motley {

/// How a parameter starts.
enum class Init { zeros, ones, normal };
/// Whether weight decay applies: to matrices, not to biases and norm weights.
enum class Decay { no, yes };

/// All that is known about one parameter, in one row.
struct ParamSpec {
  std::string name;  // "layers.3.attn.qkv.weight"
  Shape shape;       // matrices are [out, in]
  Init init = Init::zeros;
  float stddev = 0;  // for Init::normal
  Decay decay = Decay::no;
  int layer = -1;  // -1: outside the blocks
  /// When backward has finished its gradient: 0 after the head, then a stage a block from the last
  /// to the first, then the embeddings.
  std::size_t stage = 0;
};

/// The parameters of a model, in backward order: by stage.
std::vector<ParamSpec> parameter_specs(const ModelConfig& config);

/// One parameter's place: `offset` elements into its bucket.
struct Param {
  ParamSpec spec;
  std::size_t bucket = 0;
  std::size_t offset = 0;
  Tensor value;
  Tensor gradient;
};

/// A run of parameters that is reduced, updated and gathered as one; one buffer for the values and
/// one for the gradients. Padding between parameters is zero and stays zero.
struct ParamBucket {
  Tensor values;     // [n]
  Tensor gradients;  // [n]
  std::size_t last_stage = 0;
};

/// The parameters and gradients of one model on one device.
class ParamStore {
 public:
  /// Allocates; values and gradients are zero.
  ParamStore(Device& device, const ModelConfig& config);

  const std::vector<Param>& params() const { return params_; }
  std::vector<ParamBucket>& buckets() { return buckets_; }
  const std::vector<ParamBucket>& buckets() const { return buckets_; }
  /// The parameter of a name. Throws ConfigError when there is none.
  Param& at(std::string_view name);

  /// Sets every value by its spec; the same bits for the same seed on the same kind of device.
  void initialize(Stream& s, std::uint64_t seed);
  void zero_gradients(Stream& s);
  /// The number of trainable values, padding not counted.
  std::size_t size() const;

 private:
  std::vector<Param> params_;
  std::vector<ParamBucket> buckets_;
};

}  // namespace motley
